"""What a command printed, as plain text: where CI is, typer colours it."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Return text without the escape sequences that colour it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
