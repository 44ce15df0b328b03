"""Bytes beside the canonical ones: some that every reader must take, some that it should refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import (
    JobCommand,
    JobRequest,
    Message,
    StatusEvent,
)

from .golden_messages import BY_NAME

Document = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """Other bytes for the message of the case ``same_as``."""

    file: str
    same_as: str
    description: str
    value: bytes


@dataclass(frozen=True)
class Unreadable:
    """Bytes that a strict reader does not take for a message of that type."""

    file: str
    message_type: type[Message]
    description: str
    value: bytes


def _avro(case: str) -> bytes:
    return encode(BY_NAME[case].message, Encoding.AVRO)


def _document(case: str) -> Document:
    document: Document = json.loads(encode(BY_NAME[case].message, Encoding.JSON))
    return document


def _written(document: Document, *, escaped: bool = False, indent: int | None = None) -> bytes:
    return json.dumps(document, ensure_ascii=escaped, indent=indent).encode()


def _changed(case: str, **changes: Any) -> bytes:
    return _written(_document(case) | changes)


def _without(case: str, dropped: Callable[[str, Any], bool]) -> bytes:
    return _written({k: v for k, v in _document(case).items() if not dropped(k, v)})


def _in_a_sized_block(case: str) -> bytes:
    """Return the case with its one-entry map, the last field, written as a block with its size."""
    value = _avro(case)
    ((key, text),) = BY_NAME[case].message.attributes.items()
    entry = b"".join(bytes([2 * len(part)]) + part for part in (key.encode(), text.encode()))
    assert value.endswith(b"\x02" + entry + b"\x00")
    return value[: -len(entry) - 2] + b"\x01" + bytes([2 * len(entry)]) + entry + b"\x00"


VARIANTS = (
    Variant(
        "also-absent-fields.json",
        "request-minimal",
        "An absent field means its default.",
        _without("request-minimal", lambda _, value: value in (None, {})),
    ),
    Variant(
        "also-absent-delivery.json",
        "event-accepted",
        "Absent delivery is 1.",
        _without("event-accepted", lambda name, _: name == "delivery"),
    ),
    Variant(
        "also-absent-null-payload.json",
        "request-json-null-payload",
        "A JSON media type and no payload: the payload is null.",
        _without("request-json-null-payload", lambda name, _: name == "payload"),
    ),
    Variant(
        "also-order-and-space.json",
        "request-everything",
        "The order of fields and white space between them mean nothing.",
        _written(dict(reversed(_document("request-everything").items())), indent=2),
    ),
    Variant(
        "also-escaped-text.json",
        "request-unicode",
        "Text spelt with \\u escapes and surrogate pairs.",
        _written(_document("request-unicode"), escaped=True),
    ),
    Variant(
        "also-unknown-fields.json",
        "event-progress",
        "Fields of a later version are ignored, in nested records too.",
        _changed(
            "event-progress",
            payload=[1, {"a": None}],
            progress=_document("event-progress")["progress"] | {"result": "soon", "eta": 5},
        ),
    ),
    Variant(
        "also-unknown-state.json",
        "event-unknown",
        "A state of a later version reads as UNKNOWN.",
        _changed("event-unknown", state="PAUSED"),
    ),
    Variant(
        "also-unknown-command.json",
        "command-unknown",
        "A command of a later version reads as UNKNOWN.",
        _changed("command-unknown", command="PAUSE"),
    ),
    Variant(
        "also-integer-progress.json",
        "event-progress",
        "A double may be written without a fraction.",
        _changed("event-progress", progress={"completed": 1250, "total": 5000, "unit": "files"}),
    ),
    Variant(
        "also-sized-block.avro",
        "event-redelivered",
        "A map in a block with a negative count and its size, as some Avro libraries write it.",
        _in_a_sized_block("event-redelivered"),
    ),
)

UNREADABLE = (
    Unreadable("bad-empty.avro", JobRequest, "No bytes at all.", b""),
    Unreadable(
        "bad-header.avro", JobCommand, "Cut off in the header.", _avro("command-cancel")[:6]
    ),
    Unreadable(
        "bad-fingerprint.avro",
        JobCommand,
        "A fingerprint that nobody knows.",
        b"\xc3\x01" + b"\xee" * 8 + _avro("command-cancel")[10:],
    ),
    Unreadable(
        "bad-message-type.avro",
        StatusEvent,
        "A command where an event belongs.",
        _avro("command-cancel"),
    ),
    Unreadable(
        "bad-truncated.avro", StatusEvent, "The last byte is missing.", _avro("event-failed")[:-1]
    ),
    Unreadable(
        "bad-trailing.avro", StatusEvent, "A byte too many.", _avro("event-failed") + b"\x00"
    ),
    Unreadable(
        "bad-length.avro",
        JobRequest,
        "A text that claims to be 2^62 bytes long.",
        _avro("request-minimal")[:10] + b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" + b"6f1c",
    ),
    Unreadable(
        "bad-missing-field.json",
        StatusEvent,
        "A field without default is missing.",
        _without("event-accepted", lambda name, _: name == "sequence"),
    ),
    Unreadable(
        "bad-time-text.json",
        StatusEvent,
        "Times are integers, not text.",
        _changed("event-accepted", occurred_at="2026-03-01T12:30:15.250Z"),
    ),
    Unreadable(
        "bad-fraction.json",
        StatusEvent,
        "An integer with a fraction.",
        _changed("event-accepted", sequence=0.5),
    ),
    Unreadable(
        "bad-range.json",
        StatusEvent,
        "An integer of 33 bits where Avro has an int.",
        _changed("event-accepted", delivery=2**32),
    ),
    Unreadable(
        "bad-nan.json",
        StatusEvent,
        "NaN is not JSON.",
        _changed("event-progress", progress={"completed": float("nan")}),
    ),
    Unreadable(
        "bad-base64.json",
        JobRequest,
        "Characters outside the standard base64 alphabet.",
        _changed("request-binary-payload", payload="_-8="),
    ),
    Unreadable(
        "bad-untyped-payload.json",
        JobRequest,
        "A payload without its media type.",
        _changed("request-minimal", payload={"path": "/data/in"}),
    ),
    Unreadable("bad-array.json", JobCommand, "Not an object.", b"[]"),
    Unreadable(
        "bad-second-object.json", JobCommand, "Two objects.", _changed("command-cancel") + b"{}"
    ),
)
