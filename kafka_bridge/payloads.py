"""Converts Python values to bytes and back: payloads and results."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, to_jsonable_python

from kafka_bridge.protocol.errors import PayloadNotSerialisable
from kafka_bridge.protocol.media_types import JSON, from_json, is_json, to_json

BYTES = "application/octet-stream"

MOST_PARTS = 100
"""How many faulty parts are searched for the one to name: each search writes the part as JSON."""


class Encoded(NamedTuple):
    """A value that :func:`to_bytes` has made already, elsewhere."""

    data: bytes | None
    media_type: str | None


def to_bytes(value: Any, what: str) -> tuple[bytes | None, str | None]:
    """Return a value as bytes and their media type.

    None has no bytes, and bytes stay unchanged. All other values become JSON: dataclasses, pydantic
    models, dates, decimals, UUIDs, paths and sets in pydantic's form.

    :param what: the name of the value in an error, for example ``"payload"``
    :raises PayloadNotSerialisable: a part of it has no JSON form; the error names it
    """
    if value is None:
        return None, None
    if type(value) is Encoded:
        return value
    if isinstance(value, bytes):
        return value, BYTES
    try:
        return to_json(to_jsonable_python(value)), JSON
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        raise PayloadNotSerialisable(_words(value, what, error)) from error


def _words(value: Any, what: str, error: Exception) -> str:
    culprit = next(_culprits(value, what, set()), None)
    if culprit is None:
        return f"{what} cannot be written as JSON: {error}"
    path, part = culprit
    return (
        f"{path} cannot be written as JSON: it is {part!r:.80} of type {type(part).__qualname__}. "
        "Use numbers, text, lists, dictionaries, dataclasses or pydantic models."
    )


def _culprits(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the parts without a JSON form, each once."""
    if len(seen) > MOST_PARTS or id(value) in seen or _is_fine(value):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _culprits(part, f"{path}[{key!r}]", seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for index, part in enumerate(value):
            yield from _culprits(part, f"{path}[{index}]", seen)
    else:
        yield path, value


def _is_fine(value: Any) -> bool:
    try:
        to_json(to_jsonable_python(value))
    except (PydanticSerializationError, TypeError, ValueError, RecursionError):
        return False
    return True


def from_bytes(data: bytes | None, media_type: str | None) -> Any:
    """Return the value of bytes that :func:`to_bytes` made, as JSON has it: XCom can store it.

    Text stays text; other bytes become base64 text.

    :raises ValueError: the bytes do not match their media type
    """
    if data is None or media_type is None:
        return None
    if is_json(media_type):
        return from_json(data)
    if media_type.startswith("text/"):
        return data.decode("utf-8")
    return base64.b64encode(data).decode("ascii")
