"""A task whose job's end lies behind a batch that nobody can unpack, in a real Airflow."""

from __future__ import annotations

from collections.abc import Callable

from integration.unreadable import publish_unreadable

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.messages import JobState

from .observers import Statsd
from .runs import Run
from .test_limits import record, states

TOPIC = "unreadable.responses"


def test_task_succeeds_with_a_result_behind_unreadable_batches(
    begin: Callable[..., Run], metrics: Statsd
) -> None:
    """The triggerer gets past them, and counts what it has skipped."""
    run = begin("behind_unreadable", "jobs.nobody")
    run.eventually(lambda: states(run)["job", -1] == "deferred", "the task is deferred")
    (request,) = run.requests()
    publish_unreadable(run.servers, TOPIC, partitions=4)
    with RecordProducer(KafkaConfig({"bootstrap.servers": run.servers})) as producer:
        producer.publish(TOPIC, *record(request, JobState.SUCCEEDED), [])
    assert run.airflow.wait_for_run(run.dag_id, run.run_id, 240) == "success"
    run.eventually(
        lambda: sum(metrics.values("kafka_bridge.reader.unreadable", topic=TOPIC)) == 4,
        "what was skipped is counted",
        30,
    )
