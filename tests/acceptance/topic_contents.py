"""All that stands in a topic, read by a consumer of its own."""

from __future__ import annotations

import time
import uuid
from typing import TypeVar

import confluent_kafka as ck

from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.messages import JobCommand, JobRequest, StatusEvent

M = TypeVar("M", JobRequest, StatusEvent)


def records_of(servers: str, topic: str) -> list[Record]:
    """Return every record of a topic up to where it ends now."""
    consumer = ck.Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"kafka-bridge-tests-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,  # a group with offsets counts as one that reads the topic
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        ends = {
            number: consumer.get_watermark_offsets(ck.TopicPartition(topic, number), timeout=30)
            for number in partitions
        }
        missing = {number: high - low for number, (low, high) in ends.items()}
        consumer.assign(
            [ck.TopicPartition(topic, number, low) for number, (low, _) in ends.items()]
        )
        return _read(consumer, sum(missing.values()))
    finally:
        consumer.close()


def _read(consumer: ck.Consumer, count: int) -> list[Record]:
    records: list[Record] = []
    give_up = time.monotonic() + 120
    while len(records) < count:
        assert time.monotonic() < give_up, f"{len(records)} of {count} records arrived"
        records += [Record.of(m) for m in consumer.consume(1000, 0.2) if m.error() is None]
    return records


def requests_of_run(servers: str, topic: str, run_id: str) -> list[JobRequest]:
    """Return the requests that the tasks of one DAG run have published."""
    requests = [record.decode(JobRequest) for record in records_of(servers, topic)]
    return [request for request in requests if request.task and request.task.run_id == run_id]


def events_of_job(servers: str, topic: str, correlation_id: str) -> list[StatusEvent]:
    """Return what workers said of one job, in order."""
    key = correlation_id.encode()
    found = [record for record in records_of(servers, topic) if record.key == key]
    return [record.decode(StatusEvent) for record in sorted(found, key=lambda r: r.location.offset)]


def commands_for(servers: str, topic: str, correlation_id: str) -> list[JobCommand]:
    """Return what workers were told about one job, in order."""
    key = correlation_id.encode()
    return [r.decode(JobCommand) for r in records_of(servers, topic) if r.key == key]
