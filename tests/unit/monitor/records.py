"""Messages and records of jobs, for the model."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import confluent_kafka as ck

from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.messages import (
    Command,
    JobCommand,
    JobRequest,
    JobState,
    Message,
    StatusEvent,
    Task,
)

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TASK = Task("production", "nightly", "manual__2026-03-01", "audit")
REQUESTS, RESPONSES, CONTROL = "jobs.requests", "jobs.responses", "jobs.control"

_offsets = itertools.count()


def job_id(number: int) -> str:
    """Return the correlation id of a job."""
    return f"0d3b9a52-61f4-4c0e-9b7d-{number:012x}"


def seconds(number: float) -> datetime:
    """Return the moment so long after :data:`NOW`."""
    return NOW + timedelta(seconds=number)


def place(topic: str = RESPONSES, offset: int | None = None) -> RecordLocation:
    """Return a location in a topic, by default a new one."""
    return RecordLocation(topic, 0, next(_offsets) if offset is None else offset)


def request(job: str = JOB, **fields: Any) -> JobRequest:
    """Return a request of a job."""
    defaults: dict[str, Any] = {
        "job_type": "files.audit",
        "response_topic": RESPONSES,
        "created_at": NOW,
        "task": TASK,
    }
    return JobRequest(correlation_id=job, **(defaults | fields))


def event(state: JobState, at: float = 1, job: str = JOB, **fields: Any) -> StatusEvent:
    """Return an event of a job, so many seconds after :data:`NOW`."""
    defaults: dict[str, Any] = {"event_id": "e-1", "sequence": 0, "worker_id": "w-1"}
    return StatusEvent(
        correlation_id=job, state=state, occurred_at=seconds(at), **(defaults | fields)
    )


def cancel(job: str = JOB, at: float = 1, reason: str = "enough") -> JobCommand:
    """Return a CANCEL command."""
    return JobCommand(
        correlation_id=job, command=Command.CANCEL, reason=reason, issued_at=seconds(at)
    )


def received(
    value: bytes | None,
    key: bytes | None = JOB.encode(),
    headers: list[tuple[str, bytes]] | None = None,
    at: float = 0,
) -> Received:
    """Return a record as a consumer gets it."""
    return Received(
        ck.Message(
            topic=RESPONSES,
            partition=0,
            offset=next(_offsets),
            key=key,
            value=value,
            headers=list(headers or []),
            timestamp=(ck.TIMESTAMP_CREATE_TIME, int(seconds(at).timestamp() * 1000)),
        )
    )


def written(message: Message) -> Received:
    """Return a message as the record that carries it."""
    return received(encode(message), message.correlation_id.encode())
