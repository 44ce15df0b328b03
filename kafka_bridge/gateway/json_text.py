"""Parses JSON from services and programs, with a limit for its depth."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_DEPTH = 100
"""Python parses and writes nested JSON by recursion, whose limit depends on the caller."""


def read_json(data: bytes) -> Any:
    """Parse JSON; it may begin with a byte order mark.

    :raises ValueError: it is not JSON (RFC 8259), or is nested deeper than ``MAX_DEPTH``
    """
    try:
        value = json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise _too_deep() from None
    # Most answers have too few brackets to be nested too deeply.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    """Check the depth of a JSON value.

    :raises ValueError: it is nested deeper than ``MAX_DEPTH``
    """
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [part for each in level for part in _parts(each)]
        if not level:
            return
    raise _too_deep()


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep() -> ValueError:
    return ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number in JSON")
