"""Values as payloads and results: what JSON they become, and what is said of those without one."""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st
from pydantic import BaseModel

from kafka_bridge.payloads import BYTES, from_bytes, to_bytes
from kafka_bridge.protocol.errors import PayloadNotSerialisable
from kafka_bridge.protocol.media_types import JSON


class Colour(Enum):
    """An enumeration."""

    RED = "red"


class Model(BaseModel):
    """A pydantic model."""

    day: date
    inner: Any = None


@dataclass
class Point:
    """A dataclass."""

    x: int
    tag: Any = None


class Opaque:
    """A class without a JSON form."""

    def __repr__(self) -> str:
        return "<opaque" + "!" * 200 + ">"


NAN, INFINITY = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (True, b"true"),
        (0, b"0"),
        (2**80, b"1208925819614629174706176"),
        ("", b'""'),
        ("Grüße\n", '"Grüße\\n"'.encode()),
        ([], b"[]"),
        ({"b": 1, "a": [None]}, b'{"b":1,"a":[null]}'),
        ({1: "one"}, b'{"1":"one"}'),
        ((1, 2), b"[1,2]"),
        ({5}, b"[5]"),
        (Point(1, Point(2)), b'{"x":1,"tag":{"x":2,"tag":null}}'),
        (Model(day=date(2026, 3, 1)), b'{"day":"2026-03-01","inner":null}'),
        ([Colour.RED, Decimal("1.10")], b'["red","1.10"]'),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), b'"2026-03-01T12:00:00Z"'),
        (timedelta(hours=1), b'"PT1H"'),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (Path("/data"), b'"/data"'),
        ({"text in bytes": b"abc"}, b'{"text in bytes":"abc"}'),
    ],
)
def test_python_values_become_compact_json(value: Any, data: bytes) -> None:
    """What Python people return has a JSON form, compact and in UTF-8."""
    assert to_bytes(value, "result") == (data, JSON)


def test_none_has_no_payload_and_bytes_are_kept() -> None:
    """None has neither data nor a type; bytes, none of them too, travel as they are."""
    assert to_bytes(None, "result") == (None, None)
    assert to_bytes(b"\x00\xff", "result") == (b"\x00\xff", BYTES)
    assert to_bytes(b"", "result") == (b"", BYTES)


def nested(levels: int) -> list[Any]:
    """Return a list in a list, and so on."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def family(children: int) -> dict[str, Any]:
    """Return a parent whose children know their parent: a value that contains itself."""
    parent: dict[str, Any] = {"children": []}
    parent["children"] += [{"parent": parent} for _ in range(children)]
    return parent


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Opaque(), "payload cannot be written as JSON: it is <opaque"),
        ({"a": {"b": [1, Opaque()]}}, "payload['a']['b'][1] cannot be written as JSON"),
        ({"a": Opaque()}, "of type Opaque. Use numbers, text, lists, dictionaries, dataclasses"),
        ([0, NAN], "payload[1] cannot be written as JSON: it is nan of type float"),
        ({"a": INFINITY}, "payload['a'] cannot be written as JSON: it is inf of type float"),
        ({"a": ["\ud800"]}, r"payload['a'][0] cannot be written as JSON: it is '\ud800'"),
        ({"a": b"\xff"}, r"payload['a'] cannot be written as JSON: it is b'\xff' of type bytes"),
        ({"a": int}, "payload['a'] cannot be written as JSON: it is <class 'int'> of type type"),
        ({"a": Point(1, Opaque())}, "payload['a'] cannot be written as JSON: it is Point(x=1"),
        ({"\ud800": 1}, "payload cannot be written as JSON"),
        (nested(5_000), "payload cannot be written as JSON"),
        (family(1), "payload cannot be written as JSON"),
    ],
)
def test_part_without_json_form_is_named(value: Any, words: str) -> None:
    """The error leads to the part that is wrong, in text that can be printed anywhere."""
    with pytest.raises(PayloadNotSerialisable) as caught:
        to_bytes(value, "payload")
    text = str(caught.value)
    assert words in text
    assert len(text) < 400
    text.encode("utf-8")


@pytest.mark.parametrize(
    "value", [family(50), [Opaque()] * 10_000, nested(400)], ids=["family", "many", "deep"]
)
def test_large_faulty_value_is_refused_in_time(value: Any) -> None:
    """Looking for the part to name ends soon, in values that contain themselves too."""
    before = time.thread_time()
    with pytest.raises(PayloadNotSerialisable):
        to_bytes(value, "payload")
    assert time.thread_time() - before < 5


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=20,
)


@seed(20260301)
@given(JSON_VALUES)
def test_json_values_come_back_as_they_were(value: Any) -> None:
    """What JSON can say is what the other side gets."""
    assert from_bytes(*to_bytes(value, "result")) == value


@pytest.mark.parametrize(
    ("data", "media_type", "value"),
    [
        (None, None, None),
        (b"null", JSON, None),
        (b'{"a":1}', "application/vnd.example+json", {"a": 1}),
        (b'{"a":1}', "application/json; charset=utf-8", {"a": 1}),
        ("Grüße".encode(), "text/plain", "Grüße"),
        (b"", "text/plain; charset=utf-8", ""),
        (b"\x00\xff", BYTES, "AP8="),
        (b"abc", "image/png", "YWJj"),
    ],
)
def test_results_become_what_xcom_can_hold(
    data: bytes | None, media_type: str | None, value: Any
) -> None:
    """JSON is read, text stays text, and other bytes are base64."""
    assert from_bytes(data, media_type) == value


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"{", JSON),
        (b"NaN", JSON),
        (b"\xff", JSON),
        (b"[" * 100_000, JSON),
        (b"\xff", "text/plain"),
    ],
)
def test_bytes_that_contradict_their_media_type_are_a_value_error(
    data: bytes, media_type: str
) -> None:
    """Whatever a worker sent, nothing but ValueError comes of it."""
    with pytest.raises(ValueError, match=r"."):
        from_bytes(data, media_type)
