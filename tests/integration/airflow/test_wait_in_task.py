"""The wait in a task's own process, and its hand-over to a trigger, on real Kafka."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from airflow.exceptions import TaskDeferred
from airflow.sdk import BaseOperator, Context
from airflow.sdk.bases.operator import ExecutorSafeguard

from kafka_bridge.airflow import KafkaJobOperator, KafkaJobTrigger, task_state
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.messages import JobRequest, JobState, Progress, StatusEvent
from kafka_bridge.testing import Broker

from ..jobs import config_of, event, records

if TYPE_CHECKING:
    from conftest import TopicFactory

LONG, SHORT = 60.0, 1.5
"""Seconds: more than a busy machine needs for a job, and enough for its first event."""
RESULT: dict[str, Any] = {"result": b"3", "result_type": "application/json"}


class Log:
    """Keeps the lines that a task and its trigger log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, words: str, *arguments: object) -> None:
        """Keep a line."""
        self.lines.append(words % arguments)

    warning = error = info


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, real_broker: Broker) -> Log:
    """Let operators be executed outside a running task, and keep what they log."""
    kept = Log()
    connection = {
        "conn_type": "kafka",
        "extra": {"bootstrap.servers": real_broker.bootstrap_servers},
    }
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    monkeypatch.setattr(task_state, "is_in_state", lambda *_: True)
    monkeypatch.setattr(BaseOperator, "log", kept)
    monkeypatch.setattr(KafkaJobTrigger, "log", kept)
    return kept


@contextmanager
def service(
    config: KafkaConfig, topic: str, answers: Callable[[str], list[StatusEvent]]
) -> Iterator[None]:
    """Answer the first request in a topic, on a thread."""

    def serve() -> None:
        with records(config, topic) as requests, RecordProducer(config) as producer:
            request = decode(JobRequest, next(requests).value)
            for each in answers(request.correlation_id):
                publish(producer, request.response_topic, each)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()


def publish(producer: RecordProducer, topic: str, content: StatusEvent) -> None:
    """Publish an event."""
    producer.publish(topic, content.correlation_id.encode(), encode(content), [])


def execute(requests: str, responses: str, seconds: float) -> Any:
    """Execute an operator that waits for so long before it defers."""
    made = KafkaJobOperator(
        task_id="work",
        job_type="test.count",
        request_topic=requests,
        response_topic=responses,
        deferrable=True,
        wait_before_deferring=seconds,
    )
    instance = SimpleNamespace(
        dag_id="d", run_id="r", task_id="work", map_index=-1, try_number=1, max_tries=0
    )
    now = datetime.now(UTC)
    run = SimpleNamespace(start_date=now, run_after=now, clear_number=0)
    return made.execute(cast(Context, {"ti": instance, "dag_run": run}))


def test_task_completes_with_the_event_that_its_own_process_receives(
    real_broker: Broker, topics: TopicFactory, log: Log
) -> None:
    """The job ends right after its request is published, before or after the reader is open."""
    config, requests, responses = _stage(real_broker, topics)

    def answers(job: str) -> list[StatusEvent]:
        return [event(job, JobState.ACCEPTED), event(job, **RESULT)]

    with service(config, requests, answers):
        assert execute(requests, responses, LONG) == 3
    assert log.lines.count("Accepted by worker w-1") == 1


def test_trigger_continues_where_the_tasks_process_has_stopped(
    real_broker: Broker, topics: TopicFactory, log: Log
) -> None:
    """Events from before, between and after are neither lost nor logged twice."""
    config, requests, responses = _stage(real_broker, topics)
    with (
        service(config, requests, lambda job: [event(job, JobState.ACCEPTED)]),
        pytest.raises(TaskDeferred) as caught,
    ):
        execute(requests, responses, SHORT)
    before = list(log.lines)
    trigger = cast(KafkaJobTrigger, caught.value.trigger)
    _, arguments = trigger.serialize()
    job = trigger.spec.correlation_id
    with RecordProducer(config) as producer:
        publish(producer, responses, event(job, JobState.RUNNING, progress=Progress(1, 4)))
        publish(producer, responses, event(job, **RESULT))
    stored = KafkaJobTrigger(**{**json.loads(json.dumps(arguments)), "not_before": 0.0})
    fired = asyncio.run(asyncio.wait_for(_first(stored), LONG))
    assert fired["state"] == "SUCCEEDED"
    assert [line for line in before if "Accepted" in line] == ["Accepted by worker w-1"]
    assert log.lines[len(before) :] == ["25 %: 1 of 4"]


def _stage(broker: Broker, topics: TopicFactory) -> tuple[KafkaConfig, str, str]:
    config = config_of(broker.bootstrap_servers)
    return config, topics("requests", partitions=3), topics("responses", partitions=3)


async def _first(trigger: KafkaJobTrigger) -> dict[str, Any]:
    payload: dict[str, Any] = (await anext(trigger.run())).payload
    return payload
