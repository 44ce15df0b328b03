"""The JSON encoding: one JSON object with the fields of the Avro schema.

A missing field has the schema's default, unions are untagged, and times are integers
(milliseconds). ``payload`` and ``result`` are JSON values if their media type is JSON, and standard
base64 otherwise. Unknown fields are ignored, and unknown enum symbols become the enum's default, so
that a message of a later version can be read.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from fastavro.validation import ValidationError, validate

from kafka_bridge.protocol.errors import InvalidMessage, Undecodable
from kafka_bridge.protocol.media_types import from_json, is_json, to_json
from kafka_bridge.protocol.messages import INT_MAX, LONG_MAX, Message, StatusEvent
from kafka_bridge.protocol.plain_data import DATA_FIELDS, M, from_record, to_record
from kafka_bridge.protocol.sanitize import one_line
from kafka_bridge.protocol.schemas import WRITTEN, without_logical_types
from kafka_bridge.protocol.slips import read_beside_slips

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_WITHOUT_TIMES = without_logical_types(WRITTEN[StatusEvent].definition)


def encode(message: Message) -> bytes:
    """Return the message as one JSON object in UTF-8.

    :raises InvalidMessage: a field has a type that the schema does not allow, or no JSON form, or
        data with a JSON media type is not JSON
    """
    record = to_record(message)
    try:
        validate(record, WRITTEN[type(message)].parsed)
        _inline_data(record)
        return to_json({name: _to_plain(value) for name, value in record.items()})
    except ValidationError as error:
        raise InvalidMessage(
            f"{type(message).__name__} does not fit its schema: {error.errors[0]!s:.300}"
        ) from error
    except (TypeError, ValueError) as error:
        raise InvalidMessage(
            f"{type(message).__name__} has no JSON form: {error!s:.300}"
        ) from error


def _to_plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MILLISECOND
    return value


def _inline_data(record: dict[str, Any]) -> None:
    for data, media_type in DATA_FIELDS:
        if record.get(data) is None:
            continue
        if is_json(record[media_type]):
            record[data] = from_json(record[data])
        else:
            record[data] = base64.b64encode(record[data]).decode("ascii")


def decode(message_type: type[M], value: bytes) -> M:
    """Return the message that a JSON object describes.

    :raises Undecodable: the document is not such a message; the text names the field
    """
    try:
        document = from_json(value)
        record = _read_record(WRITTEN[message_type].definition, document, message_type.__name__)
        return from_record(message_type, record)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if message_type is StatusEvent and (event := _beside_slips(value)) is not None:
            return cast(M, event)
        # Cleaned like all text from outside: it may quote a key of the document.
        cause = one_line(str(error), 300)
        raise Undecodable(f"not a {message_type.__name__} in JSON: {cause}") from error


def _beside_slips(value: bytes) -> StatusEvent | None:
    """Return an event that has an error, with its readable fields; None if it has no error."""
    try:
        text = json.dumps(json.loads(value.decode("utf-8", "replace")), ensure_ascii=False)
        document = json.loads(text.encode("utf-8", "replace"))  # without lone surrogates
        fields = document.keys() & {each["name"] for each in _WITHOUT_TIMES["fields"]}
    except (AttributeError, ValueError, RecursionError):
        return None
    record: dict[str, Any] = {}
    for field in _WITHOUT_TIMES["fields"]:
        name = field["name"]
        with contextlib.suppress(TypeError, ValueError, OverflowError, RecursionError):
            if name == "result":
                record |= _extract_data(_WITHOUT_TIMES, document, "StatusEvent")
            elif name in fields:
                record[name] = _read(field["type"], document[name], name)
    return read_beside_slips(record)


def _read_record(schema: dict[str, Any], document: Any, where: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise TypeError(f"{where} must be an object")
    extracted = _extract_data(schema, document, where)
    record = {}
    for field in schema["fields"]:
        name = field["name"]
        if name in extracted:
            record[name] = extracted[name]
        elif name in document:
            record[name] = _read(field["type"], document[name], f"{where}.{name}")
        elif "default" in field:
            record[name] = _read(field["type"], field["default"], f"{where}.{name}")
        else:
            raise ValueError(f"{where}.{name} is missing")
    return record


def _extract_data(
    schema: dict[str, Any], document: dict[str, Any], where: str
) -> dict[str, bytes | None]:
    """Return ``payload`` and ``result`` as bytes, decoded by their media types."""
    known = {field["name"] for field in schema["fields"]}
    extracted: dict[str, bytes | None] = {}
    for data, media_type in DATA_FIELDS:
        if data not in known or not document.keys() & {data, media_type}:
            continue
        kind = document.get(media_type)
        if kind is None:
            if document.get(data) is not None:
                raise ValueError(f"{where}.{data} has no {media_type}")
            extracted[data] = None
        else:
            extracted[data] = _to_bytes(document.get(data), kind, f"{where}.{data}")
    return extracted


def _to_bytes(data: Any, media_type: Any, where: str) -> bytes | None:
    if not isinstance(media_type, str):
        raise TypeError(f"{where}_type must be a string")
    if is_json(media_type):
        return to_json(data)
    if data is None:
        return None
    if not isinstance(data, str):
        raise TypeError(f"{where} of type {media_type!r} must be base64 text")
    return base64.b64decode(data, validate=True)


def _read(schema: Any, value: Any, where: str) -> Any:
    if isinstance(schema, list):  # every union here is [null, something]
        return None if value is None else _read(schema[1], value, where)
    if isinstance(schema, str):
        return _PRIMITIVES[schema](value, where)
    if schema.get("logicalType") == "timestamp-millis":
        return _EPOCH + _read_integer(value, where, LONG_MAX) * _MILLISECOND
    return _COMPLEX[schema["type"]](schema, value, where)


def _read_integer(value: Any, where: str, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{where} must be an integer")
    if not -highest - 1 <= value <= highest:
        raise ValueError(f"{where} is out of range")
    return value


def _read_double(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{where} must be a number")
    return float(value)


def _read_string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{where} must be a string")
    value.encode("utf-8")  # refuses lone surrogates, which JSON allows
    return value


def _read_boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{where} must be true or false")
    return value


def _read_enum(schema: dict[str, Any], value: Any, where: str) -> str:
    symbol = _read_string(value, where)
    return symbol if symbol in schema["symbols"] else schema["default"]


def _read_map(schema: dict[str, Any], value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{where} must be an object")
    return {
        _read_string(key, where): _read(schema["values"], item, f"{where}.{key}")
        for key, item in value.items()
    }


_PRIMITIVES: dict[str, Callable[[Any, str], Any]] = {
    "string": _read_string,
    "int": lambda value, where: _read_integer(value, where, INT_MAX),
    "long": lambda value, where: _read_integer(value, where, LONG_MAX),
    "double": _read_double,
    "boolean": _read_boolean,
}
_COMPLEX: dict[str, Callable[[dict[str, Any], Any, str], Any]] = {
    "record": _read_record,
    "enum": _read_enum,
    "map": _read_map,
}
