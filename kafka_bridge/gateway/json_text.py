"""JSON from services and programs, as deep as it can be worked with."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MOST_DEPTH = 100
"""Python reads and writes nested JSON by recursion, whose limit depends on where it is called."""


def read_json(data: bytes) -> Any:
    """Return the value that JSON describes; it may begin with a byte order mark.

    :raises ValueError: it is not JSON as RFC 8259 has it, or nested deeper than ``MOST_DEPTH``
    """
    try:
        value = json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise _too_deep() from None
    # Few answers have so many brackets that they could be nested too deeply.
    if data.count(b"[") + data.count(b"{") > MOST_DEPTH:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    """Return if a JSON value is nested no deeper than ``MOST_DEPTH``.

    :raises ValueError: it is
    """
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [part for each in level for part in _parts(each)]
        if not level:
            return
    raise _too_deep()


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep() -> ValueError:
    return ValueError(f"nested deeper than {MOST_DEPTH} levels")


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number in JSON")
