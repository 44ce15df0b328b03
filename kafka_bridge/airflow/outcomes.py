"""A job's terminal event as a task's result, or as the exception that the task raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol

from airflow.sdk.bases.xcom import BaseXCom

from kafka_bridge.airflow import exceptions
from kafka_bridge.airflow.storable import MAX_LEVELS, XCOM, first_bad_output
from kafka_bridge.kafka.records import Record
from kafka_bridge.payloads import from_bytes
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.media_types import NestedTooDeep
from kafka_bridge.protocol.messages import JobState, StatusEvent, utc_now
from kafka_bridge.protocol.plain_replies import plain_end
from kafka_bridge.protocol.sanitize import sanitized

STORE_ELSEWHERE = (
    "Let a result_handler turn it into a value that can be stored, or let the service store such "
    "data elsewhere and return its address"
)


def plain_event(record: Record) -> StatusEvent | None:
    """Return a plain reply as the terminal event that a worker would have published.

    Returns None if neither a header nor the key names the job.
    """
    event = plain_end(record.key, record.value, record.headers, _moment(record.timestamp_ms))
    return None if event is None else sanitized(event)


def _moment(timestamp_ms: int) -> datetime:
    """Return a record's timestamp, or the present time if its timestamp is not a valid date."""
    try:
        return datetime.fromtimestamp(timestamp_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return utc_now()


def result_of(ended: StatusEvent, location: RecordLocation) -> Any:
    """Return the result of a job that has succeeded, as XCom can hold it.

    :raises KafkaJobFailed: the worker failed it
    :raises KafkaJobFailedNonRetryable: the worker failed it with a non-retryable error
    :raises KafkaJobCancelled: it was cancelled
    :raises ResultUnreadable: the result does not match its media type
    :raises ResultNotStorable: it is nested too deep to be read
    """
    if ended.state is JobState.CANCELLED:
        raise exceptions.KafkaJobCancelled(ended.message or "the job was cancelled")
    if ended.state is not JobState.SUCCEEDED:
        raise failure_of(ended)
    if ended.result is None and ended.result_ref is not None:
        return asdict(ended.result_ref)  # the claim check: the result itself is stored elsewhere
    try:
        return from_bytes(ended.result, ended.result_type)
    except NestedTooDeep as error:
        fault = f"result: is nested too deep: at most {MAX_LEVELS} levels are possible"
        raise exceptions.ResultNotStorable(_not_storable(fault)) from error
    except ValueError as error:
        raise exceptions.ResultUnreadable(
            f"the result is not valid {ended.result_type}: {error}", location
        ) from error


class StoresXCom(Protocol):
    """What decides how a task's XCom is stored; every operator has these attributes."""

    @property
    def do_xcom_push(self) -> bool:
        """Whether the task stores an XCom."""

    @property
    def multiple_outputs(self) -> bool:
        """Whether each key of a dictionary becomes an XCom of its own."""


def storable(task: StoresXCom, value: Any, name: str = "result") -> Any:
    """Return a value that becomes a task's XCom.

    A custom XCom backend decides itself what it can store, so nothing is checked then.

    :param name: what to call the value in an error
    :raises ResultNotStorable: Airflow cannot store it; the error names the part
    """
    if task.do_xcom_push and is_stored_by_airflow():
        fault = XCOM.first_fault(value, name)
        if fault is None and task.multiple_outputs and isinstance(value, Mapping):
            fault = first_bad_output(value, name)
        if fault is not None:
            raise exceptions.ResultNotStorable(_not_storable(str(fault)))
    return value


def is_stored_by_airflow() -> bool:
    """Return whether XComs go to Airflow's database, and not to a custom XCom backend."""
    # Not at the top: it resolves the configured backend when it is imported.
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

    own: bool = XCom.serialize_value is BaseXCom.serialize_value
    return own


def _not_storable(fault: str) -> str:
    return f"the job succeeded, but Airflow cannot store its result: {fault}. {STORE_ELSEWHERE}"


def failure_of(
    ended: StatusEvent,
) -> exceptions.KafkaJobFailed | exceptions.KafkaJobFailedNonRetryable:
    """Return the exception for the end of a job that has failed."""
    if ended.error is not None:
        return exceptions.failed(ended.error)
    return exceptions.KafkaJobFailed(
        "FAILED", ended.message or "the worker gave no reason", None, retryable=True
    )
