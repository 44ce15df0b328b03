"""What Airflow can store: the first part of a value that it cannot, by its path."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any

import pytest

from kafka_bridge.airflow.storable import (
    ARGUMENT,
    JSON_FILE,
    MAX_LEVELS,
    XCOM,
    first_bad_output,
)

LONE = "\ud800"


def nested(levels: int) -> Any:
    """Return lists in lists, so many of them."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def endless() -> Any:
    """Return a value that contains itself."""
    value: dict[str, Any] = {}
    value["again"] = [value]
    return value


EVERYWHERE: list[tuple[Any, str]] = [
    ({"x": [1, math.inf]}, "result.x[1]: is inf, which is not a number in JSON"),
    (math.nan, "result: is nan, which is not a number in JSON"),
    (f"é{LONE}", r"result: contains '\ud800', a lone surrogate (half of a character)"),
    ({LONE: 1}, r"result: has the key '\ud800', which contains '\ud800', a lone surrogate"),
    (nested(MAX_LEVELS + 1), "result[0][0][0]"),
    (nested(100_000), ": is nested too deep: at most 200 levels are possible"),
    (endless(), ": is nested too deep: at most 200 levels are possible"),
]
IN_THE_DATABASE: list[tuple[Any, str]] = [
    ({"items": [0, 1, 2, {"name": "a\0b"}]}, "result.items[3].name: contains NUL"),
    ("é\0", "result: contains NUL"),
    ({"a\0": 1}, r"result: has the key 'a\x00', which contains NUL"),
    ([2**64], "result[0]: is an integer of 65 bits, and at most 64 are possible"),
    ([-(2**63) - 1], "result[0]: is an integer of 64 bits, and at most 64 are possible"),
    ({"two words": {1: 10**5000}}, "result['two words'][1]: is an integer of 16610 bits"),
    (({"a\0"},), "result[0][0]: contains NUL"),
    (PurePosixPath("a\0"), "result: contains NUL"),
]
AS_XCOM: list[tuple[Any, str]] = [
    (
        [1e30],
        "result[0]: is 1e+30, for Postgres an integer of 100 bits, and at most 64 are possible",
    ),
    (-1e19, "result: is -1e+19, for Postgres an integer of 64 bits, and at most 64 are possible"),
    (
        [{"__classname__": 1}],
        "result[0]: has the key '__classname__', which Airflow reserves",
    ),
    ({"__id__": 1}, "result: has the key '__id__', which Airflow reserves"),
    (
        {"__type": "dict", "__var": 1},
        "result: has the keys '__type' and '__var', which Airflow reserves",
    ),
]


@pytest.mark.parametrize(("value", "words"), EVERYWHERE)
def test_values_that_json_does_not_have_are_found(value: Any, words: str) -> None:
    """It is refused everywhere, in words that say where it is. No depth ends the search."""
    for place in (JSON_FILE, ARGUMENT, XCOM):
        assert words in str(place.first_fault(value, "result"))


@pytest.mark.parametrize(("value", "words"), IN_THE_DATABASE)
def test_values_that_the_database_does_not_store_are_found(value: Any, words: str) -> None:
    """It is refused where Airflow stores it, and fine in a file."""
    assert JSON_FILE.first_fault(value, "result") is None
    for place in (ARGUMENT, XCOM):
        assert str(place.first_fault(value, "result")).startswith(words)


@pytest.mark.parametrize(("value", "words"), AS_XCOM)
def test_values_that_cannot_be_pulled_are_found(value: Any, words: str) -> None:
    """What would come back as something else, or not at all, is refused as an XCom alone."""
    assert ARGUMENT.first_fault(value, "result") is None
    assert str(XCOM.first_fault(value, "result")) == words


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "\u0001 é 😀",
        b"\0",
        [2**64 - 1, -(2**63), 1.5, -0.0],
        nested(MAX_LEVELS),
        {"__version__": 1, "__data__": 2, "__type": 3, "": []},
        object(),
    ],
)
def test_values_that_can_be_stored_pass(value: Any) -> None:
    """Everything else passes. What is not a type of JSON is left to Airflow."""
    assert XCOM.first_fault(value, "result") is None


def test_path_is_short_and_harmless() -> None:
    """The keys of a result are somebody else's text: they are shown cleaned, and cut."""
    fault = XCOM.first_fault({"x\x1b[31m\n": {"k" * 5000: "\0"}}, "result")
    assert fault is not None
    assert fault.path.startswith(r"result['x\x1b[31m\n'].kkk")
    assert len(fault.path.encode()) <= 300


@pytest.mark.parametrize(
    "key", ["", "a?b", "a#b", "a%2fb", "../x", "a/../b", "a/./b", "/a", "a\nb", "x" * 513]
)
def test_key_that_cannot_name_an_xcom_is_found(key: str) -> None:
    """A worker's key goes into the path of a URL: it must not lead anywhere else."""
    fault = first_bad_output({"fine": 1, "a/b c": 2, key: 3}, "result")
    assert fault is not None
    assert str(fault).startswith("result: has the key ")
    assert first_bad_output({"fine": 1, "a/b c": 2}, "result") is None
