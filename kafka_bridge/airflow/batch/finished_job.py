"""A finished job of a batch: its result or its error, from a record of the response topic."""

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
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobState, StatusEvent

CANCELLED = "cancelled"
"""The error type of a cancelled job."""
NOT_STORABLE = "result_not_storable"
"""The error type of a succeeded job whose result cannot be stored."""


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A job in a terminal state, with its ``result`` or its ``error``."""

    state: JobState
    result: Any = None
    error: JobFailure | None = None

    @property
    def has_lost_result(self) -> bool:
        """Whether the job succeeded, but its result cannot be stored."""
        return self.state is JobState.SUCCEEDED and self.error is not None

    @property
    def is_settled(self) -> bool:
        """Whether another attempt cannot help: the job succeeded, or its error is non-retryable."""
        return self.state is JobState.SUCCEEDED or (
            self.state is JobState.FAILED and self.error is not None and not self.error.retryable
        )


def finished_by_event(
    state: JobState, value: bytes | None, location: RecordLocation
) -> FinishedJob:
    """Return the job that a terminal event finishes.

    :param state: the state in the event's head
    """
    try:
        event = decode_at(StatusEvent, value, location)
    except RemoteProtocolError as error:
        if state is JobState.SUCCEEDED:
            return without_result(str(error))
        failure = JobFailure(ErrorType.UNREADABLE, str(error), retryable=True)
        return FinishedJob(state, error=failure)
    return _finished_by(event, location)


def finished_by_reply(record: Record) -> FinishedJob | None:
    """Return the job that a plain reply finishes, or None if the reply names no job."""
    event = plain_event(record)
    return None if event is None else _finished_by(event, record.location)


def _finished_by(event: StatusEvent, location: RecordLocation) -> FinishedJob:
    try:
        return FinishedJob(event.state, result=result_of(event, location))
    except JobFailed as error:
        facts = (error.error_type, error.error_message, error.details, error.retryable)
        return FinishedJob(JobState.FAILED, error=JobFailure(*facts))
    except (ResultNotStorable, RemoteProtocolError) as error:
        return without_result(str(error))
    except JobCancelled as error:
        return FinishedJob(JobState.CANCELLED, error=JobFailure(CANCELLED, str(error)))


def without_result(reason: str) -> FinishedJob:
    """Return a job that succeeded, but whose result is lost. A retry would not help."""
    error = JobFailure(NOT_STORABLE, reason, details=None, retryable=False)
    return FinishedJob(JobState.SUCCEEDED, error=error)
