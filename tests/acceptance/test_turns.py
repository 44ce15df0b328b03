"""Tasks whose worker dies while both workers have a long queue."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from integration.jobs import config_of, request

from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.testing.local_airflow import LocalAirflow

from .runs import Run
from .topic_contents import records_of

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

TASKS = 6
QUEUED = 2_400
"""Jobs of half a second behind those of the tasks: for one worker 100 s, for the survivor 200 s.

A task would count its worker as lost after 40 s, so a begun job must not wait for the queue."""
SESSION_MS = 6_000
"""The shortest session timeout that a broker accepts; the default is 30 s."""

Events = dict[str, list[StatusEvent]]


def events(run: Run, topic: str) -> Events:
    """Return by job what the topic has now, in order."""
    found: Events = defaultdict(list)
    for record in sorted(records_of(run.servers, topic), key=lambda each: each.location.offset):
        event = record.decode(StatusEvent)
        found[event.correlation_id].append(event)
    return found


def publish_queue(run: Run, requests: str, responses: str) -> None:
    """Publish the jobs that nobody waits for."""
    with RecordProducer(config_of(run.servers)) as producer:
        for _ in range(QUEUED):
            job = request("turns.short", responses, heartbeat_interval_ms=2_000)
            key, value = job.correlation_id.encode(), encode(job, Encoding.AVRO)
            producer.send(requests, key, value, request_headers(job, Encoding.AVRO))


def begun_by(worker: subprocess.Popen[bytes], found: Events) -> set[str]:
    """Return the jobs that a worker has accepted and not finished."""
    return {
        job
        for job, each in found.items()
        if f"-{worker.pid}-" in each[0].worker_id and each[-1].state not in TERMINAL
    }


def finishing_order(found: Events) -> list[str]:
    """Return the finished jobs, the first one first."""
    ends = [each[-1] for each in found.values() if each[-1].state in TERMINAL]
    return [each.correlation_id for each in sorted(ends, key=lambda each: each.occurred_at)]


@pytest.mark.long
def test_no_task_loses_its_worker_while_another_has_its_partition(
    airflow: LocalAirflow,
    begin: Callable[..., Run],
    start_worker: Callable[..., subprocess.Popen[bytes]],
    topics: TopicFactory,
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    """A worker with a long queue is killed: its begun jobs go before the queue of the survivor.

    Six tasks wait for such jobs. All of them succeed, and none reports a lost worker.
    """
    gate, requests, responses = tmp_path / "gate", topics("turns", 2), topics("turns-responses", 1)
    environ = {
        "KAFKA_BRIDGE_REQUEST_TOPIC": requests,
        "KAFKA_BRIDGE_GROUP_ID": requests,
        "KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS),
        "KAFKA_BRIDGE_KAFKA_HEARTBEAT_INTERVAL_MS": "250",
        "TURNS_GATE": str(gate),
    }
    workers = [start_worker("turns_service:worker", **environ) for _ in range(2)]
    run = begin("turns", requests, {"request_topic": requests, "response_topic": responses})
    eventually(lambda: len(run.requests()) == TASKS, "all tasks have published", 180)
    of_tasks = {each.correlation_id for each in run.requests()}
    eventually(
        lambda: sum(len(begun_by(each, events(run, responses))) for each in workers) == TASKS,
        "their jobs have begun",
        60,
    )
    publish_queue(run, requests, responses)
    at = events(run, responses)
    victim, survivor = sorted(workers, key=lambda each: -len(begun_by(each, at) & of_tasks))
    eventually(
        lambda: begun_by(survivor, events(run, responses)) - of_tasks, "the survivor is busy", 60
    )
    victim.kill()
    victim.wait(60)
    interrupted = begun_by(victim, events(run, responses))
    assert interrupted & of_tasks
    gate.touch()

    assert airflow.wait_for_run(run.dag_id, run.run_id, 240) == "success"
    survivor.kill()
    found = events(run, responses)
    assert {found[job][-1].state for job in interrupted} == {JobState.SUCCEEDED}
    # The queue of the survivor alone takes 100 s: it goes on behind the last of them.
    assert len(finishing_order(found)) < QUEUED / 2
    for number in range(TASKS):
        lines = airflow.task_log(run.dag_id, run.run_id, "work", map_index=number)
        assert "worker_lost" not in "\n".join(map(str, lines))
