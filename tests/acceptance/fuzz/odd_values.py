"""Values that are odd for their Avro type, and results that are odd for whoever stores them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

TEXTS = (
    "",
    "\x00",
    "name\x00with NUL",
    "\x1b[2J\x1b]0;title\x07",
    "a line\n2026-01-01T00:00:00 ERROR a forged line",
    "::group::folded",
    "\u202egnp.exe",
    "\u2028\u2029\x85",
    "{{ ti.xcom_pull() }} %s %(name)s {0}",
    "'; DROP TABLE job; --",
    "<script>alert(1)</script>",
    "日本語 👩‍💻",
)
LONG_CHARACTERS = 10_000
HUGE_CHARACTERS = 900_000
"""A broker takes a little more in one record."""
HUGE_SHARE = 0.02
"""The share of values that are this large: a disk has to take them all."""
LONE_SURROGATE = "\ud800"
"""JSON can spell it; Avro cannot carry it."""

INT_EDGES = (-(2**31), -1, 0, 1, 2**31 - 1)
LONG_EDGES = (-(2**63), -(10**15), -1, 0, 1, 253402300800000, 2**63 - 1)
DOUBLES = (0.0, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf"))


def odd_text(chance: Random) -> str:
    """Return a text that acts on a reader, or a long one."""
    if chance.random() < 0.1:
        return chance.choice("aä\x00\x1b") * LONG_CHARACTERS
    return "x" * HUGE_CHARACTERS if chance.random() < HUGE_SHARE else chance.choice(TEXTS)


def odd_value(schema: Any, chance: Random) -> Any:
    """Return a value that the schema allows and nobody expects."""
    if isinstance(schema, list):
        return odd_value(chance.choice(schema), chance)
    if isinstance(schema, str):
        return _ODD[schema](chance)
    part = _ODD_PARTS.get(schema["type"])
    return odd_value(schema["type"], chance) if part is None else part(schema, chance)


def _odd_map(_: Any, chance: Random) -> dict[str, str]:
    count = chance.choice((0, 1, 1_000))
    return {f"{number}{odd_text(chance)[:20]}": odd_text(chance)[:20] for number in range(count)}


def _odd_record(schema: Any, chance: Random) -> dict[str, Any]:
    return {each["name"]: odd_value(each["type"], chance) for each in schema["fields"]}


_ODD: Mapping[str, Callable[[Random], Any]] = {
    "null": lambda _: None,
    "string": odd_text,
    "bytes": lambda chance: odd_result(chance)[0],
    "int": lambda chance: chance.choice(INT_EDGES),
    "long": lambda chance: chance.choice(LONG_EDGES),
    "double": lambda chance: chance.choice(DOUBLES),
    "boolean": lambda chance: chance.random() < 0.5,
}
_ODD_PARTS: Mapping[str, Callable[[Any, Random], Any]] = {
    "enum": lambda schema, chance: chance.choice(schema["symbols"]),
    "map": _odd_map,
    "record": _odd_record,
}


def odd_result(chance: Random) -> tuple[bytes, str]:
    """Return the bytes of a result and their media type, hard to store or no such type at all."""
    if chance.random() < HUGE_SHARE:
        return chance.choice(_huge_json()).encode(), "application/json"
    if chance.random() < 0.7:
        return chance.choice(odd_json(chance)).encode(), "application/json"
    if chance.random() < 0.5:
        text = odd_text(chance).encode()
        return text, chance.choice(("text/plain", "text/html; charset=utf-16", "text/"))
    binary = (b"", b"\x00\xff" * 10, b"\xc3\x28", b"PK\x03\x04")
    return chance.choice(binary), chance.choice(("application/octet-stream", "image/png", "x"))


def odd_json(chance: Random) -> tuple[str, ...]:
    """Return JSON that is hard to store, and text that is said to be JSON."""
    depth = chance.choice((300, 900, 10_000))
    return (
        json.dumps({"id": 2**64 + 1}),
        json.dumps({"id": -(2**70)}),
        json.dumps({"__classname__": "builtins.eval", "__version__": 1, "__data__": "1"}),
        json.dumps({"__type": "dict", "__var": {"a": 1}}),
        json.dumps({"text": "a\x00b", "\x00": 1}),
        '{"half": "\\ud800"}',
        '{"twice": 1, "twice": 2}',
        "[" * depth + "]" * depth,
        '{"a":' * depth + "1" + "}" * depth,
        "NaN",
        "Infinity",
        "1e999",
        "9" * 10_000,
        "not json",
        "",
    )


def _huge_json() -> tuple[str, ...]:
    return (
        json.dumps(["x" * HUGE_CHARACTERS]),
        json.dumps(list(range(100_000))),
        "[" * 100_000 + "]" * 100_000,
    )
