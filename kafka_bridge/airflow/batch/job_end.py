"""What one job of a batch came to, as a record of the response topic says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kafka_bridge.airflow.exceptions import ResultNotStorable
from kafka_bridge.airflow.outcomes import plain_event, result_of
from kafka_bridge.kafka.records import Record, decode_at
from kafka_bridge.protocol.errors import (
    JobCancelled,
    JobFailed,
    RecordLocation,
    RemoteProtocolError,
)
from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobState, StatusEvent

CANCELLED = "cancelled"
"""The type of the error of a job that was cancelled."""
NOT_STORABLE = "result_not_storable"
"""That of a job that has succeeded, but whose result cannot be stored."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What one job came to: its ``result``, or its ``error``."""

    state: JobState
    result: Any = None
    error: JobFailure | None = None

    @property
    def has_lost_result(self) -> bool:
        """Whether it has succeeded, with a result that cannot be stored."""
        return self.state is JobState.SUCCEEDED and self.error is not None

    @property
    def is_settled(self) -> bool:
        """Whether another attempt is no use: it has succeeded, or failed for good."""
        return self.state is JobState.SUCCEEDED or (
            self.state is JobState.FAILED and self.error is not None and not self.error.retryable
        )


def end_of(value: bytes | None, location: RecordLocation) -> JobEnd | None:
    """Return what the value of a record says of its job's end, or None where it is no end."""
    try:
        state = read_head(value).state
    except RemoteProtocolError:
        return None  # nor was it one for the trigger
    if state not in TERMINAL:
        return None
    try:
        event = decode_at(StatusEvent, value, location)
    except RemoteProtocolError as error:
        if state is JobState.SUCCEEDED:
            return without_result(str(error))
        return JobEnd(state, error=JobFailure(ErrorType.UNREADABLE, str(error), retryable=True))
    return _end_in(event, location)


def plain_end_of(record: Record) -> JobEnd | None:
    """Return what a plain reply says of its job's end, or None where it names no job."""
    event = plain_event(record)
    return None if event is None else _end_in(event, record.location)


def _end_in(event: StatusEvent, location: RecordLocation) -> JobEnd:
    try:
        return JobEnd(event.state, result=result_of(event, location))
    except JobFailed as error:
        facts = (error.error_type, error.error_message, error.details, error.retryable)
        return JobEnd(JobState.FAILED, error=JobFailure(*facts))
    except (ResultNotStorable, RemoteProtocolError) as error:
        return without_result(str(error))
    except JobCancelled as error:
        return JobEnd(JobState.CANCELLED, error=JobFailure(CANCELLED, str(error)))


def without_result(reason: str) -> JobEnd:
    """Return the end of a job that has succeeded, but whose result is lost: no retry helps."""
    return JobEnd(
        JobState.SUCCEEDED, error=JobFailure(NOT_STORABLE, reason, details=None, retryable=False)
    )
