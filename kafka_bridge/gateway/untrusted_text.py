"""What services and programs say, made fit to be passed on."""

from __future__ import annotations

import json
import math
from typing import Any

EXCERPT_CHARACTERS = 500


def number_of(value: Any) -> float | None:
    """Return a number of JSON's, None for anything else and for what is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def text_of(value: Any) -> str | None:
    """Return a value as text that has a UTF-8 form: JSON can hold half a character."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def excerpt(body: Any) -> str:
    """Return the beginning of what came, on one line, for an error."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=repr)
    text = " ".join(text.split())
    return text if len(text) <= EXCERPT_CHARACTERS else f"{text[:EXCERPT_CHARACTERS]} …"
