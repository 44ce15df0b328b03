"""The JSON encoding: what is written, what is understood, and what is refused, by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import Undecodable
from kafka_bridge.protocol.media_types import from_json, is_json, to_json
from kafka_bridge.protocol.messages import (
    LONG_MAX,
    Command,
    JobCommand,
    JobRequest,
    JobState,
    Message,
    StatusEvent,
)
from kafka_bridge.protocol.schemas import WRITTEN

from .samples import COMMAND, EVENT, FULL, JOB, NOW_MS, REQUEST, document

Document = dict[str, Any]


def _read(message: Message, **changes: Any) -> Any:
    """Decode a message's JSON object with some fields set anew."""
    return decode(type(message), json.dumps(document(message) | changes).encode())


def test_what_is_written() -> None:
    """One object in the schema's order: integers for times, unions untagged, text as UTF-8."""
    command = replace(COMMAND, reason="größe", attributes={"ключ": "🔑"})
    assert encode(command, Encoding.JSON).decode("utf-8") == (
        f'{{"correlation_id":"{JOB}","command":"CANCEL","reason":"größe",'
        f'"issued_at":{NOW_MS},"attributes":{{"ключ":"🔑"}}}}'
    )


@pytest.mark.parametrize(
    ("data", "media_type", "inlined"),
    [
        (b'{"a":[1,null]}', "application/json", {"a": [1, None]}),
        (b"null", "application/json", None),
        (b"9223372036854775807", "application/json", LONG_MAX),
        (b'"text"', "application/problem+json; charset=utf-8", "text"),
        (b"{}", "text/json", "e30="),  # neither application/json nor +json
        (b"\xfb\xff", "application/octet-stream", "+/8="),
        (b"", "text/plain", ""),
        (None, None, None),
    ],
)
def test_data_is_inlined_or_base64(
    data: bytes | None, media_type: str | None, inlined: object
) -> None:
    """JSON media types are inlined, all others are standard base64; and back again."""
    request = replace(REQUEST, payload=data, payload_type=media_type)
    event = replace(EVENT, result=data, result_type=media_type)
    assert document(request)["payload"] == inlined
    assert document(event)["result"] == inlined
    assert decode(JobRequest, encode(request, Encoding.JSON)) == request
    assert decode(StatusEvent, encode(event, Encoding.JSON)) == event


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/json", True),
        ("APPLICATION/JSON ; charset=utf-8", True),
        ("application/cloudevents+json", True),
        ("image/svg+xml", False),
        ("application/jsonl", False),
        ("application/json5", False),
        ("text/plain; note=application/json", False),
        ("", False),
    ],
)
def test_which_media_types_are_json(media_type: str, expected: bool) -> None:
    """``application/json`` and what ends in ``+json``, whatever the case and the parameters."""
    assert is_json(media_type) is expected


# What is understood


@pytest.mark.parametrize("message", FULL, ids=lambda message: type(message).__name__)
def test_absent_means_the_default(message: Message) -> None:
    """A reader needs only the fields that have no default."""
    fields = WRITTEN[type(message)].definition["fields"]
    required = {field["name"] for field in fields if "default" not in field}
    sparse = {name: value for name, value in document(message).items() if name in required}
    read = decode(type(message), json.dumps(sparse).encode())
    for field in fields:
        if "default" in field:
            assert getattr(read, field["name"]) == field["default"]


def test_defaults_are_not_shared() -> None:
    """Two messages that leave out their attributes do not get one map between them."""
    sparse = document(COMMAND)
    del sparse["attributes"]
    value = json.dumps(sparse).encode()
    assert decode(JobCommand, value).attributes is not decode(JobCommand, value).attributes


@pytest.mark.parametrize("unknown", ["later", "payload", "payload_type", "result", "result_type"])
@pytest.mark.parametrize("where", [None, "task", "payload_ref"])
def test_unknown_fields_are_ignored(unknown: str, where: str | None) -> None:
    """A field of a later version does no harm, even one that other records know."""
    written = document(REQUEST)
    part = written[where] if where else written
    if unknown not in part:
        part[unknown] = [1, {"a": None}]
    assert decode(JobRequest, json.dumps(written).encode()) == REQUEST


def test_unknown_symbols_are_unknown() -> None:
    """A state or command of a later version does not hide the message."""
    assert _read(EVENT, state="PAUSED").state is JobState.UNKNOWN
    assert _read(COMMAND, command="PAUSE").command is Command.UNKNOWN


def test_the_last_of_duplicate_keys_counts() -> None:
    """Duplicate keys are read as nearly all JSON libraries do; RFC 8259 leaves it open."""
    value = encode(COMMAND, Encoding.JSON)[:-1] + b',"reason":"last","command":"UNKNOWN"}'
    assert decode(JobCommand, value) == replace(COMMAND, reason="last", command=Command.UNKNOWN)


@pytest.mark.parametrize("number", [0, -1, LONG_MAX, 2**53 + 1])
def test_long_integers_keep_their_last_digit(number: int) -> None:
    """64-bit integers never pass through a double."""
    assert _read(REQUEST, payload=[number]).payload == f"[{number}]".encode()
    if number >= 0:
        assert _read(EVENT, sequence=number).sequence == number


# What is refused

_NOT = {
    "string": [1, 1.5, True, [], {}, "\ud800"],
    "int": ["1", 1.0, 1.5, True, [], {}, 2**31, -(2**31) - 1],
    "long": ["1", 1.0, 1.5, True, [], {}, 2**63, -(2**63) - 1],
    "double": ["1", True, [], {}, 10**400],
    "boolean": [0, 1, "true", [], {}],
    "timestamp-millis": ["2026-03-01T12:30:15Z", 1.0, True, [], {}, 2**63, 10**15, -(10**15)],
    "enum": [0, True, [], {}, "\ud800"],
    "map": ["", 0, True, [], {"a": None}, {"a": 1}, {"\ud800": "a"}, {"a": "\ud800"}],
    "record": ["", 0, True, [], {}],
}


def _wrong_values(
    schema: Document, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield each field of a record schema, nested ones too, with each value of a wrong type."""
    for field in schema["fields"]:
        here = (*path, field["name"])
        nullable = isinstance(field["type"], list)
        kind = field["type"][1] if nullable else field["type"]
        name = kind if isinstance(kind, str) else kind.get("logicalType", kind["type"])
        if name == "bytes":  # as the media type says: tested below
            continue
        wrong = list(_NOT[name]) if nullable else [*_NOT[name], None]
        yield from ((here, value) for value in wrong)
        if name == "record":
            yield from _wrong_values(kind, here)


@pytest.mark.parametrize("message", FULL, ids=lambda message: type(message).__name__)
def test_wrong_types_are_refused_by_field(message: Message) -> None:
    """Every field refuses every JSON value that its schema does not allow."""
    wrong = list(_wrong_values(WRITTEN[type(message)].definition))
    assert len(wrong) > 20
    taken = [(path, value) for path, value in wrong if _takes(message, path, value)]
    # A worker's error is read in spite of a letter that is none: see test_slips.
    assert [each for each in taken if each[0][0] != "error" or each[1] != "\ud800"] == []


def _takes(message: Message, path: tuple[str, ...], value: object) -> bool:
    """Tell whether a message is still read with the field at ``path`` set to ``value``."""
    written = document(message)
    if path[0] != "error":
        written.pop("error", None)  # what is wrong beside an error is borne: see test_slips
    part = written
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    try:
        decode(type(message), json.dumps(written).encode())
    except Undecodable:
        return False
    return True


@pytest.mark.parametrize("message", FULL, ids=lambda message: type(message).__name__)
def test_missing_fields_are_named(message: Message) -> None:
    """The error says which field is missing."""
    for field in WRITTEN[type(message)].definition["fields"]:
        if "default" not in field:
            written = document(message)
            written.pop("error", None)
            del written[field["name"]]
            with pytest.raises(Undecodable, match=rf"\.{field['name']} is missing"):
                decode(type(message), json.dumps(written).encode())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"payload_type": None}, "JobRequest.payload has no payload_type"),
        ({"payload_type": 5}, "JobRequest.payload_type must be a string"),
        ({"payload_type": "text/plain", "payload": {}}, "must be base64 text"),
        ({"payload_type": "x" * 10**6, "payload": {}}, "JobRequest.payload of type 'xxx"),
        ({"payload_type": "text/plain", "payload": "_-8="}, "Only base64 data is allowed"),
        ({"payload_type": "text/plain", "payload": "YQ"}, "Incorrect padding"),
        ({"payload_type": "text/plain", "payload": "YQ==\n"}, "not a JobRequest in JSON: "),
        ({"payload_type": "text/plain", "payload": "größe==="}, "ASCII characters"),
        ({"payload": "\ud800"}, "surrogates not allowed"),
        ({"payload": {"\ud800": 1}}, "surrogates not allowed"),
        ({"task": {"source": "s"}}, "JobRequest.task.dag_id is missing"),
        ({"attributes": {"a": 1}}, "JobRequest.attributes.a must be a string"),
        ({"correlation_id": JOB.upper()}, "correlation_id must be UUID text in lower case"),
        ({"attempt": 0}, "JobRequest.attempt must be an integer in 1 …"),
        ({"created_at": 10**15}, "not a JobRequest in JSON: "),
    ],
)
def test_error_names_the_fault(changes: Document, words: str) -> None:
    """The error names the field, and stays short."""
    with pytest.raises(Undecodable) as refused:
        _read(REQUEST, **changes)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 5000, "01", "+1", ".5", "0x1"],
)
@pytest.mark.parametrize("field", ["payload", "task", "attempt"])
def test_numbers_that_json_or_a_double_does_not_have(number: str, field: str) -> None:
    """A number that cannot be written again is refused, in a payload as well as in a field."""
    written = json.dumps(document(REQUEST) | {field: "HERE"}).replace('"HERE"', number)
    with pytest.raises(Undecodable):
        decode(JobRequest, written.encode())


@pytest.mark.parametrize("depth", [100, 100_000])
def test_nesting_in_a_payload(depth: int) -> None:
    """Sensible nesting is taken, and what would exhaust the stack is refused."""
    nested = b"[" * depth + b"]" * depth
    value = encode(replace(REQUEST, payload=b"0"), Encoding.JSON).replace(
        b'"payload":0', b'"payload":' + nested
    )
    if depth <= 100:
        assert decode(JobRequest, value).payload == nested
    else:
        with pytest.raises(Undecodable, match="nested too deep"):
            decode(JobRequest, value)


# JSON itself


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ("\ud800", ValueError),
        pytest.param(object(), TypeError, id="object"),
        (b"bytes", TypeError),
        ({1, 2}, TypeError),
        ({(1, 2): 3}, TypeError),
    ],
    ids=repr,
)
def test_values_without_json_form(value: object, error: type[Exception]) -> None:
    """What other languages could not read back is not written."""
    with pytest.raises(error):
        to_json(value)


def test_a_value_that_contains_itself_is_a_value_error() -> None:
    """An endless value ends with an error."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError):
        to_json(endless)


def test_deep_json_is_a_value_error() -> None:
    """Nesting beyond the stack is bad JSON, not a crash, in both directions."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deep"):
        to_json(deep)
    with pytest.raises(ValueError, match="nested too deep"):
        from_json(b"[" * 100_000)


@pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b'{"a":-Infinity}', b"", b"\xff", b"{}{}"])
def test_what_python_reads_and_json_is_not(text: bytes) -> None:
    """Only JSON is read as JSON, whatever Python's own reader takes."""
    with pytest.raises(ValueError):
        from_json(text)
