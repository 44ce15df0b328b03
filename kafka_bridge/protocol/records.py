"""Messages as plain Avro data (dictionaries), and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

from kafka_bridge.protocol.messages import (
    Command,
    JobFailure,
    JobState,
    Message,
    Progress,
    Reference,
    Task,
)

M = TypeVar("M", bound=Message)

_PARTS: dict[str, Callable[..., Any]] = {
    "payload_ref": Reference,
    "result_ref": Reference,
    "task": Task,
    "progress": Progress,
    "error": JobFailure,
}
_ENUMS: dict[str, type[Enum]] = {"state": JobState, "command": Command}


def to_record(value: Any) -> dict[str, Any]:
    """Return a message, or a part of one, as Avro data: nested dictionaries, times as datetimes."""
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_record(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    return value


def from_record(message_type: type[M], record: Any) -> M:
    """Return the message that Avro data of the right shape describes.

    :raises InvalidMessage: a field has a value that the protocol forbids
    """
    return message_type(**{name: _rich(name, value) for name, value in record.items()})


def _rich(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _PARTS:
        return _PARTS[name](**value)
    if name in _ENUMS:
        return _ENUMS[name](value)
    return value
