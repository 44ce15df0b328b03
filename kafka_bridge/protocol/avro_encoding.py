"""Avro single-object encoding: ``C3 01``, the schema's fingerprint (8 bytes), the body."""

from __future__ import annotations

import io
from typing import Any, cast

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from kafka_bridge.protocol.errors import InvalidMessage, Undecodable, UnknownSchema
from kafka_bridge.protocol.messages import Message, StatusEvent
from kafka_bridge.protocol.plain_data import M, from_record, to_record
from kafka_bridge.protocol.sanitize import one_line
from kafka_bridge.protocol.schemas import READABLE, WRITTEN, without_logical_types
from kafka_bridge.protocol.slips import read_beside_slips

_WITHOUT_TIMES = parse_schema(without_logical_types(WRITTEN[StatusEvent].definition))
"""For events whose time is outside the calendar: it is read as a number."""

MARKER = b"\xc3\x01"
HEADER_BYTES = 10


def encode(message: Message) -> bytes:
    """Return the message in Avro single-object encoding.

    :raises InvalidMessage: a field has a type that the schema does not allow
    """
    schema = WRITTEN[type(message)]
    buffer = io.BytesIO()
    buffer.write(MARKER + schema.fingerprint)
    try:
        schemaless_writer(buffer, schema.parsed, to_record(message))
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
        raise InvalidMessage(
            f"{type(message).__name__} does not fit its schema: {error!s:.300}"
        ) from error
    return buffer.getvalue()


def decode(message_type: type[M], value: bytes) -> M:
    """Return the message in ``value``, which begins with the marker.

    :raises UnknownSchema: this side has no schema with that fingerprint
    :raises Undecodable: the bytes are wrong in any other way
    """
    if len(value) < HEADER_BYTES:
        raise Undecodable(f"truncated after {len(value)} bytes, within the Avro header")
    schema = READABLE.get(value[2:HEADER_BYTES])
    if schema is None:
        raise UnknownSchema(
            f"Avro schema with fingerprint {value[2:HEADER_BYTES].hex()} is not known"
        )
    if schema.message_type is not message_type:
        raise Undecodable(f"a {schema.message_type.__name__} instead of a {message_type.__name__}")
    body = io.BytesIO(value[HEADER_BYTES:])
    try:
        message = from_record(message_type, schemaless_reader(body, schema.parsed, None))
    except Exception as error:  # hostile bytes make fastavro raise a dozen different types
        if message_type is StatusEvent and (event := _beside_slips(value)) is not None:
            return cast(M, event)
        # Cut: some errors quote the whole value, and this text becomes a dead letter's header.
        cause = one_line(f"{type(error).__name__}: {error}", 300)
        raise Undecodable(f"damaged Avro body of a {message_type.__name__}: {cause}") from error
    if body.read(1):
        raise Undecodable(f"bytes are left over after the Avro body of a {message_type.__name__}")
    return message


def _beside_slips(value: bytes) -> StatusEvent | None:
    """Return an event that has an error, with its readable fields; None if it has no error."""
    body = io.BytesIO(value[HEADER_BYTES:])
    try:
        record = schemaless_reader(
            body, _WITHOUT_TIMES, None, handle_unicode_errors="replace", return_record_name=False
        )
    except Exception:  # the bytes themselves are damaged
        return None
    return None if body.read(1) else read_beside_slips(cast(dict[str, Any], record))
