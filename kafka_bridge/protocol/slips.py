"""Small mistakes in an event that has an error: they must not hide the error.

Workers are written in many languages, and many of their mistakes appear only when a job fails:
times in nanoseconds, a Latin-1 text, a media type without a result. An event with an error is read
without its wrong fields. An event without an error is refused, because all its fields are equally
important. The rules are the same in every encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from kafka_bridge.protocol.errors import InvalidMessage
from kafka_bridge.protocol.media_types import is_json
from kafka_bridge.protocol.messages import (
    INT_MAX,
    LONG_MAX,
    JobFailure,
    JobState,
    Progress,
    Reference,
    StatusEvent,
)

P = TypeVar("P")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
UNNAMED_ERROR = "error"
"""The type of an error that has none."""


def without_data(media_type: str | None) -> tuple[bytes | None, str | None]:
    """Return data and media type if only the type is set: JSON's null, or None for both."""
    if media_type is not None and is_json(media_type):
        return b"null", media_type
    return None, None


def read_beside_slips(record: Mapping[str, Any]) -> StatusEvent | None:
    """Return the event in Avro data, without its wrong fields.

    :param record: fields with the types of the schema, times as milliseconds since 1970; a field
        that could not be read is missing
    :returns: None if the event has no error, or if its job or its state is unknown
    """
    error, job = record.get("error"), record.get("correlation_id")
    if error is None or job is None or "state" not in record:
        return None
    result, result_type = record.get("result"), record.get("result_type")
    if result is None:
        result, result_type = without_data(result_type)
    elif result_type is None:
        result = None
    try:
        return StatusEvent(
            correlation_id=job,
            event_id=record.get("event_id") or job,
            delivery=_within(record.get("delivery"), 1, INT_MAX),
            sequence=_within(record.get("sequence"), 0, LONG_MAX),
            state=JobState(record["state"]),
            occurred_at=_moment(record.get("occurred_at")),
            worker_id=record.get("worker_id") or "",
            message=record.get("message"),
            progress=_part(Progress, record.get("progress")),
            external_id=record.get("external_id"),
            result=result,
            result_type=result_type,
            result_ref=_part(Reference, record.get("result_ref")),
            error=JobFailure(**{**error, "type": error["type"] or UNNAMED_ERROR}),
            attributes=record.get("attributes") or {},
        )
    except InvalidMessage:
        return None


def _within(value: int | None, lowest: int, highest: int) -> int:
    return lowest if value is None else min(max(value, lowest), highest)


def _moment(milliseconds: int | None) -> datetime:
    """Return a time; 1970 for a time outside the calendar."""
    try:
        return _EPOCH + (milliseconds or 0) * _MILLISECOND
    except OverflowError:
        return _EPOCH


def _part(kind: Callable[..., P], fields: Mapping[str, Any] | None) -> P | None:
    try:
        return None if fields is None else kind(**fields)
    except InvalidMessage:
        return None
