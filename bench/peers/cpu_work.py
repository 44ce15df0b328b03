"""Work that keeps a processor busy, in Python code: the same for all programs."""

from __future__ import annotations

import time

SECONDS = 0.5


def burn(seconds: float = SECONDS) -> float:
    """Use so much processor time; return when that was done, in seconds since 1970."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1_000))
    return time.time()
