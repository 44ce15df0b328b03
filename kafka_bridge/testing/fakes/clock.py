"""A clock that moves only when a test or a sleep moves it."""

from __future__ import annotations

import asyncio

START = 1_800_000_000.0
"""Where a fake clock starts, seconds since 1970: in January 2027."""


class FakeClock:
    """Replaces the module ``time`` in the module under test.

    ::

        clock = FakeClock()
        monkeypatch.setattr(module_under_test, "time", clock)
        clock.advance(30)

    Code that sleeps moves the clock itself and does not wait. ``slept`` has the seconds of each
    sleep, in order. For ``asyncio.sleep``, replace the module's ``asyncio`` or ``sleep`` by
    :meth:`async_sleep`.

    :param now: seconds since 1970; ``monotonic()`` has the same value
    """

    def __init__(self, now: float = START) -> None:
        self.now = now
        self.slept: list[float] = []

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self.now

    def monotonic(self) -> float:
        """Return seconds that never go back: the same as :meth:`time`."""
        return self.now

    def time_ns(self) -> int:
        """Return the nanoseconds since 1970."""
        return int(self.now * 1_000_000_000)

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        :raises ValueError: ``seconds`` is negative
        """
        if seconds < 0:
            raise ValueError(f"a clock does not go back: advance({seconds:g})")
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Move the clock forward at once, and note the sleep."""
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))

    async def async_sleep(self, seconds: float) -> None:
        """Move the clock forward after one turn of the event loop, and note the sleep."""
        await asyncio.sleep(0)
        self.sleep(seconds)
