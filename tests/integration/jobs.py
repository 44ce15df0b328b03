"""Jobs as a test asks for them, and what came of them, read straight from the topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import confluent_kafka as ck

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.ids import new_correlation_id, new_event_id
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.media_types import JSON, to_json
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now

WAIT_SECONDS = 120.0
"""How long a test waits for a thing that should take one or two."""


def config_of(servers: str, **settings: Any) -> KafkaConfig:
    """Return a configuration; underscores in names stand for dots."""
    return KafkaConfig(
        {
            "bootstrap.servers": servers,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
    )


def request(job_type: str, response_topic: str, payload: Any = None, **fields: Any) -> JobRequest:
    """Return a request for a new job, its payload as JSON."""
    defaults: dict[str, Any] = {
        "correlation_id": new_correlation_id(),
        "payload": None if payload is None else to_json(payload),
        "payload_type": None if payload is None else JSON,
        "created_at": utc_now(),
    }
    return JobRequest(job_type=job_type, response_topic=response_topic, **(defaults | fields))


def event(job: str, state: JobState = JobState.SUCCEEDED, **fields: Any) -> StatusEvent:
    """Return a status event of a job."""
    defaults: dict[str, Any] = {
        "event_id": new_event_id(),
        "sequence": 0,
        "occurred_at": utc_now(),
        "worker_id": "w-1",
    }
    return StatusEvent(correlation_id=job, state=state, **(defaults | fields))


@contextmanager
def records(config: KafkaConfig, topic: str) -> Iterator[Iterator[Record]]:
    """Give the records of a topic from its beginning, in order, as they come."""
    count = len(end_offsets(config, [topic], WAIT_SECONDS)[topic])
    consumer = ck.Consumer(config.reader("test"))
    consumer.assign([ck.TopicPartition(topic, partition, 0) for partition in range(count)])

    def arriving() -> Iterator[Record]:
        give_up = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < give_up:
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                give_up = time.monotonic() + WAIT_SECONDS
                yield Record.of(message)

    try:
        yield arriving()
    finally:
        consumer.close()


def events_until(
    config: KafkaConfig, topic: str, job: str, enough: Callable[[list[StatusEvent]], object]
) -> list[StatusEvent]:
    """Return the events of a job from the first on, once there are enough."""
    seen: list[StatusEvent] = []
    give_up = time.monotonic() + WAIT_SECONDS
    with records(config, topic) as arriving:
        for record in arriving:
            if record.key == job.encode():
                give_up = time.monotonic() + WAIT_SECONDS
                seen.append(record.decode(StatusEvent))
                if enough(seen):
                    return seen
            elif time.monotonic() > give_up:
                break  # other jobs' heartbeats would keep this waiting for ever
    raise AssertionError(f"waited in vain for more of job {job} than {[e.state for e in seen]}")


def events(config: KafkaConfig, topic: str, job: str) -> list[StatusEvent]:
    """Return the events of a job, up to its end."""
    return events_until(config, topic, job, lambda seen: seen[-1].state in TERMINAL)


def first_record(config: KafkaConfig, topic: str) -> Record:
    """Return a topic's first record."""
    with records(config, topic) as arriving:
        for record in arriving:
            return record
    raise AssertionError(f"waited in vain for a record in {topic}")


def committed(config: KafkaConfig, group: str, topic: str, partitions: int = 1) -> list[int]:
    """Return by partition the offset that a group goes on from; -1001 where there is none."""
    consumer = ck.Consumer({**config.settings, "group.id": group})
    try:
        asked = [ck.TopicPartition(topic, partition) for partition in range(partitions)]
        return [each.offset for each in consumer.committed(asked, timeout=WAIT_SECONDS)]
    finally:
        consumer.close()
