"""Events, records and an Airflow context, to be varied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import confluent_kafka as ck
from airflow.sdk import Context

from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.submit.submission import Submission
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.messages import JobState, StatusEvent

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
OTHER_JOB = "77777777-61f4-4c0e-9b7d-3f2a1c5e7d01"
TOPIC = "jobs.responses"
T0 = 1_800_000_000.0
"""When the job of the tests was submitted, seconds since 1970."""


def event(state: JobState, *, at: float = 0.0, **fields: Any) -> StatusEvent:
    """Return a status event that occurred ``at`` seconds after the submission."""
    values = {
        "correlation_id": JOB,
        "event_id": "e-1",
        "sequence": 0,
        "worker_id": "w-1",
        "occurred_at": datetime.fromtimestamp(T0 + at, UTC),
    }
    return StatusEvent(state=state, **{**values, **fields})


@dataclass(frozen=True)
class Message:
    """A message as the Kafka client hands it out."""

    content: StatusEvent
    place: RecordLocation

    def topic(self) -> str:
        """Return the topic's name."""
        return self.place.topic

    def partition(self) -> int:
        """Return the partition's number."""
        return self.place.partition

    def offset(self) -> int:
        """Return the record's offset."""
        return self.place.offset

    def key(self) -> bytes:
        """Return the job's correlation id."""
        return self.content.correlation_id.encode()

    def value(self) -> bytes:
        """Return the event in Avro."""
        return encode(self.content)

    def headers(self) -> None:
        """Return no headers."""

    def timestamp(self) -> tuple[int, int]:
        """Return the type of the timestamp, and milliseconds."""
        return (1, int(T0 * 1000))


def _message(content: StatusEvent, place: RecordLocation) -> ck.Message:
    return cast(ck.Message, Message(content, place))


def arrival(content: StatusEvent, partition: int = 2, offset: int = 17) -> Arrival:
    """Return an event as the reader hands it over."""
    value = encode(content)
    return Arrival(read_head(value), RecordLocation(TOPIC, partition, offset), value)


def record(content: StatusEvent, place: RecordLocation) -> Record:
    """Return the record that an event lies in."""
    return Record.of(_message(content, place))


def context(
    try_number: int = 1, max_tries: int = 2, run_began: float = T0, clear_number: int = 0
) -> Context:
    """Return what Airflow hands to an operator, as far as the bridge looks at it."""
    instance = SimpleNamespace(
        dag_id="nightly",
        run_id="r-1",
        task_id="work",
        map_index=None,
        try_number=try_number,
        max_tries=max_tries,
    )
    run = SimpleNamespace(
        start_date=datetime.fromtimestamp(run_began, UTC),
        run_after=datetime.fromtimestamp(T0 - 60, UTC),
        clear_number=clear_number,
    )
    return cast(Context, {"ti": instance, "dag_run": run})


def submission(**changes: Any) -> Submission:
    """Return what the first try of a task says of its job."""
    values: dict[str, Any] = {
        "attempt": 1,
        "try_number": 1,
        "max_tries": 2,
        "run_began": int(T0 * 1000),
        "created_at": int(T0 * 1000),
        "ends": [4, 5, 6],
        "response_topic": TOPIC,
    }
    return Submission(**{**values, **changes})


def handle(**changes: Any) -> JobHandle:
    """Return the handle of that job."""
    values: dict[str, Any] = {
        "correlation_id": JOB,
        "attempt": 1,
        "try_number": 1,
        "job_type": "files.audit",
        "kafka_config_id": "kafka_default",
        "request_topic": "jobs.requests",
        "response_topic": TOPIC,
        "start_offsets": [4, 5, 6],
        "submitted_at": T0,
        "reply": "events",
    }
    return JobHandle(**{**values, **changes})
