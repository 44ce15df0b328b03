"""One timer for the deadlines of all waiters of an event loop."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol

SPARE_ENTRIES = 1000
"""Up to this number, stale entries are not worth removing."""


class Sleeper(Protocol):
    """Sleeps until ``deadline`` at the latest: seconds since 1970; None is for ever."""

    deadline: float | None

    def wake(self) -> None:
        """Wake up: the deadline has passed."""


class Deadlines:
    """Wakes sleepers at their deadlines. For one event loop.

    Deadlines move with every event of a job, and mostly to a later time. Then nothing is done: the
    old entry is checked when it is due, and scheduled again. Stale entries are removed when they
    are the majority.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._entries: list[tuple[float, int, Sleeper]] = []
        self._scheduled: dict[Sleeper, float] = {}
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, sleeper: Sleeper, deadline: float | None) -> None:
        """Wake a sleeper at this moment at the latest."""
        sleeper.deadline = deadline
        if deadline is None or self._scheduled.get(sleeper, deadline + 1) <= deadline:
            return
        self._scheduled[sleeper] = deadline
        if len(self._entries) > 2 * len(self._scheduled) + SPARE_ENTRIES:
            self._remove_stale()
        heapq.heappush(self._entries, (deadline, next(self._numbers), sleeper))
        if self._entries[0][2] is sleeper:
            self._arm()

    def remove(self, sleeper: Sleeper) -> None:
        """Forget a sleeper. Its entry leaves the heap later."""
        sleeper.deadline = None
        self._scheduled.pop(sleeper, None)

    def _remove_stale(self) -> None:
        scheduled = self._scheduled
        self._entries = [each for each in self._entries if scheduled.get(each[2]) == each[0]]
        heapq.heapify(self._entries)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._entries:
            delay = max(0.0, self._entries[0][0] - time.time())
            self._timer = self._loop.call_later(delay, self._wake_due)

    def _wake_due(self) -> None:
        now = time.time()
        while self._entries and self._entries[0][0] <= now:
            at, _, sleeper = heapq.heappop(self._entries)
            if self._scheduled.get(sleeper) != at:
                continue  # stale: the sleeper has left, or has an earlier entry
            del self._scheduled[sleeper]
            deadline = sleeper.deadline
            if deadline is None:
                continue
            if deadline <= now:
                sleeper.wake()
            else:
                self.set(sleeper, deadline)
        self._arm()
