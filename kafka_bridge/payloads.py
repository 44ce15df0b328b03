"""Python values as the bytes that travel: payloads on the way out, results on the way back."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from kafka_bridge.protocol.errors import PayloadNotSerialisable
from kafka_bridge.protocol.media_types import JSON, from_json, is_json, to_json

BYTES = "application/octet-stream"

MOST_PARTS = 100
"""How many faulty parts are looked into for the one to name: each look writes the part as JSON."""


def to_bytes(value: Any, what: str) -> tuple[bytes | None, str | None]:
    """Return a value as bytes and their media type.

    None is nothing at all; bytes stay as they are; all else is JSON, in which dataclasses, pydantic
    models, dates, decimals, UUIDs, paths and sets have the form that pydantic gives them.

    :param what: what to call the value in an error, for example ``"payload"``
    :raises PayloadNotSerialisable: a part of it has no JSON form; the error says which
    """
    if value is None:
        return None, None
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
    """Walk down to the parts that have no JSON form, into each only once."""
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
    """Return what :func:`to_bytes` was given, as far as JSON tells: a value that XCom can hold.

    Text stays text; other bytes become base64 text.

    :raises ValueError: the bytes are not what their media type says
    """
    if data is None or media_type is None:
        return None
    if is_json(media_type):
        return from_json(data)
    if media_type.startswith("text/"):
        return data.decode("utf-8")
    return base64.b64encode(data).decode("ascii")
