"""Messages as plain Avro data (dictionaries), and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from kafka_bridge.protocol.messages import (
    Command,
    JobCommand,
    JobFailure,
    JobRequest,
    JobState,
    Message,
    Progress,
    Reference,
    StatusEvent,
    Task,
)
from kafka_bridge.protocol.slips import without_data

M = TypeVar("M", bound=Message)

DATA_FIELDS = (("payload", "payload_type"), ("result", "result_type"))
"""The fields with data, each with the field of its media type."""
_PARTS: Mapping[type, Mapping[str, Callable[..., Any]]] = {
    JobRequest: {"payload_ref": Reference, "task": Task},
    StatusEvent: {
        "progress": Progress,
        "result_ref": Reference,
        "error": JobFailure,
        "state": JobState,
    },
    JobCommand: {"command": Command},
}
"""By message: the fields that are not plain data, and what makes their values from it."""
_NAMES: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind))
    for kind in (JobRequest, StatusEvent, JobCommand, Reference, Task, Progress, JobFailure)
}
_RICH = frozenset({Reference, Task, Progress, JobFailure})
_ALREADY_PLAIN = frozenset({str, bytes, int, float, bool, type(None), datetime})


def to_record(value: Any) -> dict[str, Any]:
    """Return a message, or a part of one, as Avro data: nested dictionaries, times as datetimes."""
    return {name: _plain(getattr(value, name)) for name in _NAMES[type(value)]}


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _ALREADY_PLAIN:
        return value
    if kind in _RICH:
        return to_record(value)
    if isinstance(value, Enum):
        return value.value
    return dict(value) if isinstance(value, Mapping) else value


def from_record(message_type: type[M], record: Any) -> M:
    """Return the message in Avro data that has the fields of the schema.

    A JSON media type without data means JSON's null. Another media type without data is dropped.

    :raises InvalidMessage: a field has a value that the protocol forbids
    """
    values = dict(record)
    for name, part in _PARTS[message_type].items():
        if (value := values.get(name)) is not None:
            values[name] = part(**value) if part in _RICH else part(value)
    for data, media_type in DATA_FIELDS:
        if values.get(data) is None and values.get(media_type) is not None:
            values[data], values[media_type] = without_data(values[media_type])
    return message_type(**values)
