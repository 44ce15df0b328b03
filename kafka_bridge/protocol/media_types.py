"""JSON media types, and JSON that every language can read."""

from __future__ import annotations

import json
from typing import Any, NoReturn

JSON = "application/json"


class NestedTooDeep(ValueError):
    """JSON has more levels than Python's decoder supports."""


def is_json(media_type: str) -> bool:
    """Return whether a media type means JSON: ``application/json`` or one ending in ``+json``."""
    essence = media_type.partition(";")[0].strip().lower()
    return essence == JSON or essence.endswith("+json")


def to_json(value: Any) -> bytes:
    """Return ``value`` as compact UTF-8 JSON (RFC 8259: no NaN, no lone surrogates).

    :raises TypeError: a part of the value has no JSON form
    :raises ValueError: a number is not finite, a text is not Unicode, or the nesting is too deep
    """
    try:
        text = _ENCODER.encode(value)
    except RecursionError as error:
        raise ValueError("nested too deep, or containing itself") from error
    return text.encode("utf-8")


def from_json(data: bytes) -> Any:
    """Return the value that UTF-8 JSON describes.

    :raises ValueError: the bytes are not JSON by RFC 8259
    """
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except RecursionError as error:
        raise NestedTooDeep("JSON is nested too deep") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Created once: with such options json.dumps() and json.loads() create one for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
