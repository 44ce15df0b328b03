"""Finds what blocks an event loop, also on a busy machine."""

from __future__ import annotations

import contextlib
import time
from asyncio.events import Handle
from collections.abc import Iterator
from pathlib import Path

_STATISTICS = Path("/proc/thread-self/schedstat")
"""Linux: nanoseconds on a processor, nanoseconds of waiting for one, and time slices."""


def waited_for_a_processor() -> float:
    """Return for how many seconds this thread has waited for a processor; 0 where it is unknown."""
    try:
        return int(_STATISTICS.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


@contextlib.contextmanager
def callbacks_over(seconds: float) -> Iterator[list[str]]:
    """Give the list of callbacks that hold the loop longer than that, by their own doing.

    The time in which another process has the processor does not count: asyncio's debug mode counts
    it, so that a busy machine makes every callback slow now and then.
    """
    slow: list[str] = []
    run = Handle._run

    def measured(handle: Handle) -> None:
        waited, began = waited_for_a_processor(), time.monotonic()
        run(handle)
        took = time.monotonic() - began
        if took > seconds and (took := took - (waited_for_a_processor() - waited)) > seconds:
            slow.append(f"{took:.3f} s: {handle!r}")

    Handle._run = measured  # type: ignore[method-assign, assignment]
    try:
        yield slow
    finally:
        Handle._run = run  # type: ignore[method-assign]
