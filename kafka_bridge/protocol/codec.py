"""Messages as bytes, and back. Writers choose an encoding, readers detect it."""

from __future__ import annotations

from kafka_bridge.protocol import avro_encoding, json_encoding
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ConfigurationError, Undecodable, UnknownSchema
from kafka_bridge.protocol.messages import Message
from kafka_bridge.protocol.plain_data import M

MOST_BYTES = 100_000_000
"""librdkafka's limit for unpacked data (receive.message.max.bytes), which gzip and lz4 evade."""
_JSON_WHITESPACE = b" \t\r\n"


def encode(message: Message, encoding: Encoding = Encoding.AVRO) -> bytes:
    """Return the message in the given encoding.

    :raises InvalidMessage: a field does not fit the schema
    :raises ConfigurationError: the encoding needs a schema registry
    """
    match encoding:
        case Encoding.AVRO:
            return avro_encoding.encode(message)
        case Encoding.JSON:
            return json_encoding.encode(message)
        case Encoding.REGISTRY:
            raise ConfigurationError(
                "encoding 'registry' is not supported yet: use 'avro' (needs no registry) or 'json'"
            )


def detect(value: bytes | None) -> Encoding:
    """Return a value's encoding, which its first bytes show.

    :raises Undecodable: the encoding is not one of the protocol's
    """
    if value is None:
        raise Undecodable("a tombstone: the record has no value")
    if len(value) > MOST_BYTES:
        raise Undecodable(f"the value has {len(value):,} bytes; the limit is {MOST_BYTES:,}")
    if value.startswith(avro_encoding.MARKER):
        return Encoding.AVRO
    if value.startswith(b"\x00") and len(value) > 5:
        return Encoding.REGISTRY
    if value.lstrip(_JSON_WHITESPACE).startswith(b"{"):
        return Encoding.JSON
    raise Undecodable(f"neither Avro nor JSON: begins with {value[:8].hex(' ') or 'nothing'}")


def decode(message_type: type[M], value: bytes | None) -> M:
    """Return the message in a record's value.

    It raises no other errors than these, whatever the bytes are.

    :raises UnknownSchema: it was written with a schema that this side does not have
    :raises Undecodable: the bytes are wrong in any other way
    """
    encoding = detect(value)
    assert value is not None  # noqa: S101  detect refuses None
    match encoding:
        case Encoding.AVRO:
            return avro_encoding.decode(message_type, value)
        case Encoding.JSON:
            return json_encoding.decode(message_type, value)
        case Encoding.REGISTRY:
            schema_id = int.from_bytes(value[1:5], "big")
            raise UnknownSchema(
                f"written with a schema registry (schema id {schema_id}), which is not supported"
            )
