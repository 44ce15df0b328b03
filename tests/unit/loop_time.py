"""The time of event loops, which a test moves forward: a timeout is over at once."""

from __future__ import annotations

import asyncio
import time

import pytest


class LoopTime:
    """Replaces the clock of all event loops of this process until the test ends.

    The timeouts and pauses of :mod:`asyncio` are measured with it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._skipped = 0.0
        self._loops: set[asyncio.AbstractEventLoop] = set()

        def now(loop: asyncio.AbstractEventLoop) -> float:
            self._loops.add(loop)
            return time.monotonic() + self._skipped

        monkeypatch.setattr(asyncio.BaseEventLoop, "time", now)

    def skip(self, seconds: float) -> None:
        """Move the clock forward, and wake all loops to notice it. Any thread may call this."""
        self._skipped += seconds
        for loop in tuple(self._loops):
            if not loop.is_closed():
                loop.call_soon_threadsafe(lambda: None)
