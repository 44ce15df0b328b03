"""Writes plain status events directly in Avro, without the codec.

A worker with quick jobs spends most of its time on ACCEPTED and SUCCEEDED events, which have few
fields. Writing them field by field, in the order of the schema, takes a fifth of the time of
creating a :class:`StatusEvent` and encoding it. A test compares the bytes of both.

Avro 1.12, "Binary Encoding": a number is zigzag-encoded, then in groups of seven bits; text and
bytes follow their length; a union begins with the number of its branch; a map ends with 0.
"""

from __future__ import annotations

from functools import lru_cache

from kafka_bridge.protocol.avro_encoding import MARKER
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.protocol.schemas import WRITTEN

_FIELDS = {field["name"]: field["type"] for field in WRITTEN[StatusEvent].definition["fields"]}
_NULL, _SECOND = b"\x00", b"\x02"
_NO_MAP = b"\x00"


@lru_cache(maxsize=1024)
def _number(value: int) -> bytes:
    # Nearly all are small (lengths, deliveries), or the current millisecond.
    value <<= 1  # zigzag, of a number that is not negative
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _bytes(value: bytes) -> bytes:
    return _number(len(value)) + value


@lru_cache(maxsize=64)
def _recurring(text: str) -> bytes:
    return _bytes(text.encode())


def _optional(value: bytes | None) -> bytes:
    return _NULL if value is None else _SECOND + _bytes(value)


_STATES = {
    JobState(symbol): _number(index) for index, symbol in enumerate(_FIELDS["state"]["symbols"])
}


_BEGIN = MARKER + WRITTEN[StatusEvent].fingerprint


def write_event(
    key: bytes,
    state: JobState,
    *,
    worker_id: str,
    event_id: str,
    delivery: int,
    sequence: int,
    occurred_at_ms: int,
    message: str | None = None,
    external_id: str | None = None,
    result: bytes | None = None,
    result_type: str | None = None,
) -> bytes:
    """Return an event in Avro single-object encoding, with the fields of :class:`StatusEvent`.

    :param key: a valid correlation id, as bytes; it is not checked again
    :param occurred_at_ms: milliseconds since 1970
    """
    return b"".join(
        (
            _BEGIN,
            _bytes(key),
            _bytes(event_id.encode()),
            _number(delivery),
            _number(sequence),
            _STATES[state],
            _number(occurred_at_ms),
            _recurring(worker_id),
            _optional(None if message is None else message.encode()),
            _NULL,  # progress
            _optional(None if external_id is None else external_id.encode()),
            _optional(result),
            _NULL if result_type is None else _SECOND + _recurring(result_type),
            _NULL,  # result_ref
            _NULL,  # error
            _NO_MAP,  # attributes
        )
    )
