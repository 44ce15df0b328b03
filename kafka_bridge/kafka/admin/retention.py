"""How long a topic keeps its records, in words."""

from __future__ import annotations

UNITS = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000))


def in_words(milliseconds: int) -> str:
    """Return a ``retention.ms`` in words: ``8 days``, ``1 hour 30 minutes``, ``forever``."""
    if milliseconds < 0:
        return "forever"
    parts = []
    for unit, size in UNITS:
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count:,} {unit}{'' if count == 1 else 's'}")
    if milliseconds or not parts:
        parts.append(f"{milliseconds} ms")
    return " ".join(parts)
