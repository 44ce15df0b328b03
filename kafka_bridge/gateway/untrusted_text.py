"""Converts values from services and programs to numbers and texts that can be published."""

from __future__ import annotations

import json
import math
from typing import Any

EXCERPT_CHARACTERS = 500


def number_of(value: Any) -> float | None:
    """Return a JSON number as a float, None for other values and for infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def text_of(value: Any) -> str | None:
    """Return a value as text that can be encoded: JSON may contain half a character."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def excerpt(body: Any) -> str:
    """Return the beginning of a value on one line, for an error message."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=repr)
    text = " ".join(text.split())
    return text if len(text) <= EXCERPT_CHARACTERS else f"{text[:EXCERPT_CHARACTERS]} …"
