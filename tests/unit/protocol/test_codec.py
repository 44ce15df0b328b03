"""Bytes and back, in both encodings; and hostile bytes, which are refused quickly and calmly."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol import codec
from kafka_bridge.protocol.avro_encoding import HEADER_BYTES, MARKER
from kafka_bridge.protocol.codec import decode, detect, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import (
    ConfigurationError,
    InvalidMessage,
    RemoteProtocolError,
    Undecodable,
    UnknownSchema,
)
from kafka_bridge.protocol.media_types import from_json, is_json, to_json
from kafka_bridge.protocol.messages import JobCommand, JobRequest, JobState, Message, StatusEvent
from kafka_bridge.protocol.plain_data import to_record

from .samples import COMMAND, EVENT, FULL, MESSAGE_TYPES, REQUEST, golden_values
from .strategies import messages, repeatable

ENCODINGS = (Encoding.AVRO, Encoding.JSON)
each_encoding = pytest.mark.parametrize("encoding", ENCODINGS)
each_message = pytest.mark.parametrize("message", FULL, ids=lambda message: type(message).__name__)


def _varint(number: int) -> bytes:
    """Return an Avro long."""
    zigzag = (number << 1) ^ (number >> 63)
    groups = []
    while zigzag > 0x7F:
        groups.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*groups, zigzag])


def _decoded(message_type: type[Message], value: bytes) -> Message | RemoteProtocolError:
    try:
        return decode(message_type, value)
    except RemoteProtocolError as error:
        return error


def _assert_harmless(message_type: type[Message], value: bytes) -> None:
    """Decode bytes of any kind: the peer's fault, or a message that can be sent on."""
    outcome = _decoded(message_type, value)
    if isinstance(outcome, RemoteProtocolError):
        assert len(str(outcome)) < 500  # it goes into a header of the dead letter
        return
    assert type(outcome) is message_type
    assert decode(message_type, encode(outcome, Encoding.AVRO)) == outcome
    if _holds_broken_json(outcome):
        with pytest.raises(InvalidMessage):
            encode(outcome, Encoding.JSON)
    else:
        written = encode(outcome, Encoding.JSON)
        assert encode(decode(message_type, written), Encoding.JSON) == written


def _holds_broken_json(message: Message) -> bool:
    """Tell whether data that is said to be JSON is not: for the worker to judge, not the codec."""
    record = to_record(message)
    for data, media_type in (("payload", "payload_type"), ("result", "result_type")):
        if record.get(data) is not None and is_json(record[media_type]):
            try:
                to_json(from_json(record[data]))
            except ValueError:
                return True
    return False


# What is written can be read


@each_encoding
@repeatable
@given(message=messages)
def test_every_valid_message_survives(encoding: Encoding, message: Message) -> None:
    """Decoding what was encoded gives the very message."""
    assert decode(type(message), encode(message, encoding)) == message


@each_encoding
@repeatable
@given(message=messages)
def test_encoding_is_recognised_by_the_first_bytes(encoding: Encoding, message: Message) -> None:
    """No setting tells a reader what a record holds."""
    assert detect(encode(message, encoding)) is encoding


@each_message
def test_avro_is_the_default(message: Message) -> None:
    """Who asks for nothing gets Avro, which needs no registry."""
    assert encode(message) == encode(message, Encoding.AVRO)
    assert encode(message).startswith(MARKER)


def test_avro_keeps_data_to_the_byte() -> None:
    """Avro does not touch a payload, not even JSON that is oddly spelt or broken."""
    for payload in (b'{ "a" : 1.0 }', b'{"a":1,"a":2}', b"\xff{", b""):
        request = replace(REQUEST, payload=payload)
        assert decode(JobRequest, encode(request)).payload == payload


# We broke the rules


@each_encoding
@pytest.mark.parametrize(
    ("message", "changes", "words"),
    [
        (EVENT, {"worker_id": 5}, "StatusEvent does not fit its schema: "),
        (EVENT, {"worker_id": None}, "StatusEvent does not fit its schema: "),
        (EVENT, {"message": b"working"}, "StatusEvent does not fit its schema: "),
        (EVENT, {"state": "PAUSED"}, "StatusEvent does not fit its schema: "),
        (EVENT, {"progress": 5}, "StatusEvent does not fit its schema: "),
        (EVENT, {"occurred_at": None}, "StatusEvent does not fit its schema: "),
        (EVENT, {"result": "text"}, "StatusEvent does not fit its schema: "),
        (EVENT, {"result_type": 5}, "StatusEvent does not fit its schema: "),
        (EVENT, {"result": "x" * 10**6}, "StatusEvent does not fit its schema: "),
        (REQUEST, {"attributes": {"n": 5}}, "JobRequest does not fit its schema: "),
        (REQUEST, {"attributes": {5: "n"}}, "JobRequest does not fit its schema: "),
        (REQUEST, {"attributes": None}, "JobRequest does not fit its schema: "),
        (COMMAND, {"reason": "\ud800"}, "surrogates not allowed"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else "",
)
def test_what_no_reader_would_take_is_not_written(
    encoding: Encoding, message: Any, changes: dict[str, Any], words: str
) -> None:
    """A type that the schema does not allow is our error, in words that stay short."""
    with pytest.raises(InvalidMessage) as refused:
        encode(replace(message, **changes), encoding)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff", b"NaN", b"1e400", b'"\\ud800"', b"[" * 100_000, b"1" * 5000, b"{}{}"],
    ids=lambda payload: repr(payload[:9]),
)
def test_broken_json_is_not_inlined(payload: bytes) -> None:
    """Data that is said to be JSON and cannot be written as JSON is our error."""
    with pytest.raises(InvalidMessage, match="JobRequest has no JSON form: "):
        encode(replace(REQUEST, payload=payload), Encoding.JSON)


def test_registry_is_refused_when_writing() -> None:
    """A setting that does not work yet says so, and what works instead."""
    with pytest.raises(ConfigurationError, match="use 'avro'"):
        encode(COMMAND, Encoding.REGISTRY)


# The peer broke the rules


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (None, Undecodable, "a tombstone: the record has no value"),
        (b"", Undecodable, "neither Avro nor JSON: begins with nothing"),
        (b"hello", Undecodable, "neither Avro nor JSON: begins with 68 65 6c 6c 6f"),
        (b"\xef\xbb\xbf{}", Undecodable, "neither Avro nor JSON"),
        (b"\x00\x00\x00", Undecodable, "neither Avro nor JSON"),
        (b"\x00\x00\x00\x01\x02body", UnknownSchema, "schema registry (schema id 258)"),
        (MARKER, Undecodable, "truncated after 2 bytes, within the Avro header"),
        (encode(COMMAND)[:9], Undecodable, "truncated after 9 bytes, within the Avro header"),
        (
            MARKER + b"\x0f" * 8 + b"body",
            UnknownSchema,
            "Avro schema with fingerprint 0f0f0f0f0f0f0f0f is not known",
        ),
        (encode(EVENT), Undecodable, "a StatusEvent instead of a JobCommand"),
        (encode(COMMAND)[:-1], Undecodable, "damaged Avro body of a JobCommand: EOFError"),
        (encode(COMMAND) + b"\x00", Undecodable, "bytes are left over after the Avro body of a J"),
        (
            encode(COMMAND).replace(COMMAND.correlation_id.encode(), b"X" * 36),
            Undecodable,
            "JobCommand.correlation_id must be UUID text",
        ),
        (b"{", Undecodable, "not a JobCommand in JSON: "),
        (
            b" \r\n\t{}",
            Undecodable,
            "not a JobCommand in JSON: JobCommand.correlation_id is missing",
        ),
    ],
)
def test_error_names_the_fault(value: bytes | None, kind: type[Exception], words: str) -> None:
    """Each way to be no message has its error and its words."""
    with pytest.raises(kind) as refused:
        decode(JobCommand, value)
    assert words in str(refused.value)


@each_encoding
@each_message
def test_a_message_of_another_type_is_refused(encoding: Encoding, message: Message) -> None:
    """Each topic has its message type: no other is mistaken for it."""
    for message_type in MESSAGE_TYPES:
        if message_type is not type(message):
            with pytest.raises(Undecodable):
                decode(message_type, encode(message, encoding))


# Hostile bytes


@repeatable
@given(st.binary(max_size=60), st.sampled_from(MESSAGE_TYPES))
def test_random_bytes_raise_only_protocol_errors(value: bytes, message_type: type[Message]) -> None:
    """Any bytes at all, and any bytes behind a good header, are refused or are a message."""
    header = encode(next(m for m in FULL if type(m) is message_type))[:HEADER_BYTES]
    for prefix in (b"", MARKER, header, b"\x00", b"{", b'{"correlation_id":'):
        _assert_harmless(message_type, prefix + value)


def _mutations(value: bytes, dice: random.Random) -> Iterator[bytes]:
    for _ in range(12):
        place = dice.randrange(len(value))
        yield value[:place]
        yield value[:place] + bytes([value[place] ^ 1 << dice.randrange(8)]) + value[place + 1 :]
        yield value[:place] + dice.randbytes(dice.randrange(1, 9)) + value[place:]
        yield value[:place] + value[place + dice.randrange(1, 9) :]
        yield value[:place] + _varint(dice.choice([-1, -(2**63), 2**62])) + value[place + 1 :]


@pytest.mark.parametrize("message_type", MESSAGE_TYPES)
def test_damaged_golden_files_raise_only_protocol_errors(message_type: type[Message]) -> None:
    """Truncations, flipped bits, insertions and deletions do no harm in any golden file."""
    dice = random.Random(20260301)
    for golden_type, value in golden_values():
        if golden_type is message_type:
            for damaged in _mutations(value, dice):
                _assert_harmless(message_type, damaged)


@pytest.mark.parametrize("value", [encode(m, e) for m in FULL for e in ENCODINGS])
def test_every_truncation_is_refused(value: bytes) -> None:
    """No beginning of a message is a message."""
    for length in range(len(value)):
        for message_type in MESSAGE_TYPES:
            with pytest.raises(RemoteProtocolError):
                decode(message_type, value[:length])


_BODY = encode(replace(COMMAND, reason=None, attributes={}))[:-1]  # up to the attributes
_EXTREME = (2**62, 2**63 - 1, -1, -(2**62), -(2**63), 2**31, 2**40)
_DEEP = b"[" * 100_000
_JSON_HEAD = encode(replace(COMMAND, reason=None), Encoding.JSON)[:-1]
HOSTILE = {
    **{f"text of {n} bytes": encode(COMMAND)[:HEADER_BYTES] + _varint(n) + b"x" for n in _EXTREME},
    **{f"map of {n} entries": _BODY + _varint(n) for n in _EXTREME},
    **{f"map of {n} empty entries": _BODY + _varint(n) + b"\x00" * 1000 for n in _EXTREME if n > 0},
    **{f"map key of {n} bytes": _BODY + b"\x02" + _varint(n) + b"x" for n in _EXTREME},
    **{f"map block of {n} bytes": _BODY + b"\x01" + _varint(n) + b"\x02a" for n in _EXTREME},
    "a varint without end": encode(COMMAND)[:HEADER_BYTES] + b"\xff" * 100_000,
    "many empty map blocks": _BODY + b"\x02\x00\x00" * 30_000,
    "deep arrays": b'{"a":' + _DEEP,
    "deep arrays, closed": _JSON_HEAD + b',"a":' + _DEEP + b"]" * len(_DEEP) + b"}",
    "deep objects": b'{"a":' * 100_000,
    "an integer of 100000 digits": _JSON_HEAD + b',"a":' + b"1" * 100_000 + b"}",
    "an exponent": _JSON_HEAD.replace(b"1772368215250", b"1e999999999") + b"}",
    "half a megabyte of spaces": b" " * 500_000 + b"{",
    "half a megabyte of bad text": _JSON_HEAD + b',"reason":"' + b"\xff" * 500_000 + b'"}',
    "a long key": _JSON_HEAD + b',"attributes":{"' + b"k" * 500_000 + b'":1}}',
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_refused_quickly_in_little_memory(value: bytes) -> None:
    """What a length claims is never allocated, and what is nested is never followed to the end."""
    tracemalloc.start()
    started = time.thread_time()
    try:
        with pytest.raises(Undecodable) as refused:
            decode(JobCommand, value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.thread_time() - started < 2
    assert peak < 8 * len(value) + 1_000_000
    assert len(str(refused.value)) < 500


def test_long_bad_text_in_avro_is_not_quoted() -> None:
    """An error's text fits a record header, however long the text that is no UTF-8."""
    value = encode(replace(COMMAND, reason="x" * 500_000)).replace(b"xx", b"\xff\xff")
    with pytest.raises(Undecodable) as refused:
        decode(JobCommand, value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), float("-inf")], ids=["nan", "inf", "-inf"]
)
def test_avro_doubles_that_are_no_numbers(number: float) -> None:
    """Progress that no JSON reader could be told of is refused."""
    assert EVENT.progress is not None
    event = replace(EVENT, progress=replace(EVENT.progress, completed=0.125), error=None)
    packed = encode(event).replace(_double(0.125), _double(number))
    with pytest.raises(Undecodable, match=r"Progress\.completed must be a finite"):
        decode(StatusEvent, packed)


def _double(number: float) -> bytes:
    return struct.pack("<d", number)


@pytest.mark.parametrize("milliseconds", [2**63 - 1, -(2**63), 253_402_300_800_000])
def test_avro_times_beyond_the_calendar(milliseconds: int) -> None:
    """A time after the year 9999 is refused: no date can hold it."""
    value = _BODY[: -len(_varint(1_772_368_215_250))] + _varint(milliseconds) + b"\x00"
    with pytest.raises(Undecodable, match="OverflowError"):
        decode(JobCommand, value)


def test_states_are_what_the_schema_says_they_are() -> None:
    """An enum position beyond the symbols is refused, and each one within is its state."""
    head, tail = encode(replace(EVENT, state=JobState.UNKNOWN)).split(b"\x00\x00", 1)
    for position, state in enumerate(JobState):
        value = head + b"\x00" + _varint(position) + tail
        assert decode(StatusEvent, value).state is state
    with pytest.raises(Undecodable, match="IndexError"):
        decode(StatusEvent, head + b"\x00" + _varint(len(JobState)) + tail)


def test_value_that_gzip_made_huge_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is unpacked from zstd is bounded by librdkafka, and from gzip not: so it is here."""
    value = encode(EVENT, Encoding.JSON)
    monkeypatch.setattr(codec, "MOST_BYTES", len(value))
    assert decode(StatusEvent, value) == EVENT
    with pytest.raises(Undecodable, match=r"^the value has [\d,]+ bytes; the limit is [\d,]+$"):
        decode(StatusEvent, value + b" ")
