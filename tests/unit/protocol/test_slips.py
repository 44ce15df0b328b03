"""What a worker got wrong beside its error does not hide the error, in either encoding."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol.avro_encoding import MARKER
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import Undecodable
from kafka_bridge.protocol.media_types import is_json, to_json
from kafka_bridge.protocol.messages import (
    INT_MAX,
    LONG_MAX,
    JobFailure,
    JobRequest,
    JobState,
    StatusEvent,
)
from kafka_bridge.protocol.schemas import WRITTEN, without_logical_types

from .samples import EVENT, JOB, REQUEST
from .strategies import repeatable

Fields = dict[str, Any]

_AVRO = parse_schema(without_logical_types(WRITTEN[StatusEvent].definition))

EVENT_WITH_ERROR: Fields = {
    "correlation_id": JOB,
    "event_id": "e-1",
    "delivery": 2,
    "sequence": 7,
    "state": "FAILED",
    "occurred_at": 1_772_368_215_250,
    "worker_id": "w-1",
    "message": None,
    "progress": None,
    "external_id": "batch-7",
    "result": None,
    "result_type": None,
    "result_ref": None,
    "error": {
        "type": "disk_full",
        "message": "no space left",
        "details": None,
        "retryable": False,
    },
    "attributes": {"a": "b"},
}


def in_avro(fields: Fields) -> bytes:
    """Write an event as a worker would that checks nothing but the schema."""
    body = io.BytesIO()
    schemaless_writer(body, _AVRO, fields)
    return MARKER + WRITTEN[StatusEvent].fingerprint + body.getvalue()


def in_json(fields: Fields) -> bytes:
    """Do the same in JSON: data is inlined or base64, as its media type says."""
    document = dict(fields)
    if (data := fields["result"]) is not None:
        inlined = fields["result_type"] is not None and is_json(fields["result_type"])
        document["result"] = json.loads(data) if inlined else base64.b64encode(data).decode()
    return json.dumps(document).encode()


def read(value: bytes) -> StatusEvent | None:
    """Return the event, or None where it is refused."""
    try:
        return decode(StatusEvent, value)
    except Undecodable:
        return None


numbers = st.sampled_from([float("nan"), float("inf"), -1.0, 0.0, 2.5])
data = st.sampled_from(
    [
        (None, None),
        (None, "application/json"),
        (None, "image/png"),
        (None, ""),
        (b'{"a":1}', "application/json"),
        (b"\x89PNG", "image/png"),
        (b'"text"', None),
    ]
)
progresses = st.fixed_dictionaries(
    {"completed": numbers, "total": st.none() | numbers, "unit": st.none() | st.just("files")}
)
references = st.fixed_dictionaries(
    {
        "uri": st.sampled_from(["", "s3://b/k"]),
        "sha256": st.sampled_from(["", "0" * 64, "no hash"]),
        "size": st.sampled_from([-1, 0, 7]),
    }
)
errors = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["", "disk_full"]),
        "message": st.text(max_size=5),
        "details": st.none() | st.text(max_size=5),
        "retryable": st.booleans(),
    }
)


@st.composite
def slipped(draw: st.DrawFn) -> Fields:
    """Draw an event of which any field may be wrong, as far as the schema allows it."""
    result, result_type = draw(data)
    return {
        "correlation_id": JOB,
        "event_id": draw(st.sampled_from(["", "e-1"])),
        "delivery": draw(st.sampled_from([-(2**31), 0, 1, INT_MAX])),
        "sequence": draw(st.sampled_from([-1, 0, LONG_MAX])),
        "state": draw(st.sampled_from([str(each) for each in JobState])),
        "occurred_at": draw(st.sampled_from([0, 1_772_368_215_250 * 10**6, -LONG_MAX])),
        "worker_id": draw(st.sampled_from(["", "w-1"])),
        "message": draw(st.none() | st.text(max_size=5)),
        "progress": draw(st.none() | progresses),
        "external_id": draw(st.none() | st.text(max_size=5)),
        "result": result,
        "result_type": result_type,
        "result_ref": draw(st.none() | references),
        "error": draw(st.none() | errors),
        "attributes": draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)),
    }


@repeatable
@given(slipped())
def test_both_encodings_tolerate_the_same_slips(fields: Fields) -> None:
    """The same message with the same slips is the same event in both, or is refused in both.

    An error that is in it is always read, with its type and whether a retry may help.
    """
    event = read(in_avro(fields))
    assert read(in_json(fields)) == event
    if (error := fields["error"]) is not None:
        assert event is not None
        assert event.error == JobFailure(**{**error, "type": error["type"] or "error"})
        assert event.state == fields["state"]


NO_NUMBER = {"completed": float("nan"), "total": None, "unit": None}


@pytest.mark.parametrize("write", [in_avro, in_json])
@pytest.mark.parametrize(
    ("slip", "expected"),
    [
        ({"result_type": "image/png"}, {"result_type": None}),
        ({"result_type": "application/json"}, {"result": b"null"}),
        ({"result": b"partial"}, {"result": None}),
        (
            {"progress": {"completed": float("nan"), "total": None, "unit": None}},
            {"progress": None},
        ),
        ({"event_id": ""}, {"event_id": JOB}),
        ({"delivery": 0}, {"delivery": 1}),
        ({"sequence": -1}, {"sequence": 0}),
        ({"occurred_at": 2**62}, {"occurred_at": datetime(1970, 1, 1, tzinfo=UTC)}),
        ({"result_ref": {"uri": "s3://b/k", "sha256": "?", "size": 1}}, {"result_ref": None}),
    ],
)
def test_each_slip_costs_its_own_field_alone(write: Any, slip: Fields, expected: Fields) -> None:
    """The rest of the event is as the worker wrote it."""
    fair = decode(StatusEvent, write(EVENT_WITH_ERROR))
    event = decode(StatusEvent, write(EVENT_WITH_ERROR | slip))
    for name in EVENT_WITH_ERROR:
        wanted = expected.get(name, getattr(fair, name) if name not in slip else slip[name])
        assert getattr(event, name) == wanted, name


def test_error_in_another_code_page_is_read() -> None:
    """A Latin-1 text in Avro or JSON costs its odd letters, and not the error."""
    for value in in_avro(EVENT_WITH_ERROR), in_json(EVENT_WITH_ERROR):
        event = decode(StatusEvent, value.replace(b"no space left", b"kein Platz! \xfc"))
        assert event.error == JobFailure("disk_full", "kein Platz! \ufffd", None, retryable=False)
    surrogate = in_json(EVENT_WITH_ERROR).replace(b"no space left", rb"no \udcff")
    event = decode(StatusEvent, surrogate)
    assert event.error is not None
    assert event.error.message == "no ?"


@pytest.mark.parametrize(
    "change",
    [
        {"occurred_at": "2026-03-01T12:30:15Z"},
        {"sequence": 0.5},
        {"delivery": 2**32},
        {"worker_id": None},
        {"progress": "half"},
        {"result_type": "image/png", "result": "no base64!"},
        {"attributes": {"a": 1}},
    ],
)
def test_slips_that_only_json_can_have_are_tolerated(change: Fields) -> None:
    """A field of a wrong type, beside an error, is left out; fields may be missing altogether."""
    document = EVENT_WITH_ERROR | change
    event = decode(StatusEvent, json.dumps(document).encode())
    assert event.error == JobFailure("disk_full", "no space left", None, retryable=False)
    few = {name: document[name] for name in ("correlation_id", "state", "error")}
    assert decode(StatusEvent, json.dumps(few).encode()).error == event.error


@pytest.mark.parametrize(
    "change",
    [{"correlation_id": "x"}, {"correlation_id": None}, {"state": 7}, {"error": {"type": "x"}}],
)
def test_without_a_job_a_state_or_an_error_nothing_is_read(change: Fields) -> None:
    """Nobody could be told of it."""
    assert read(json.dumps(EVENT_WITH_ERROR | change).encode()) is None


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_damaged_events_stay_refused(encoding: Encoding) -> None:
    """Bytes that are cut off or go on after the end are no slip."""
    value = encode(EVENT, encoding)
    assert EVENT.error is not None
    assert read(value[:-1]) is None
    assert read(value + b"\x00") is None


def test_type_without_data_means_the_same_in_requests() -> None:
    """JSON's null where it is JSON, and nothing where it is not, in both encodings."""
    written = WRITTEN[JobRequest]
    schema = parse_schema(without_logical_types(written.definition))
    for kind, expected in (("application/json", b"null"), ("image/png", None)):
        fields = json.loads(encode(REQUEST, Encoding.JSON)) | {"payload_type": kind}
        fields.pop("payload", None)
        body = io.BytesIO()
        schemaless_writer(body, schema, {**fields, "payload": None})
        in_both = (MARKER + written.fingerprint + body.getvalue(), to_json(fields))
        for value in in_both:
            request = decode(JobRequest, value)
            assert (request.payload, request.payload_type) == (expected, expected and kind)
