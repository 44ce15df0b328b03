"""One timer for the deadlines of all waiting jobs."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol

SPARE_ENTRIES = 1000
"""So many entries that no longer count are not worth looking for."""


class Sleeper(Protocol):
    """Something that waits no longer than until ``deadline``, seconds since 1970, or for ever."""

    deadline: float | None

    def wake(self) -> None:
        """Wake up: the deadline has passed."""


class Deadlines:
    """Wakes sleepers at their deadlines. For one event loop.

    Deadlines move with every event of a job, mostly backwards. So nothing is done when one moves
    back: its entry is looked at when it is due, and put in again further on. Entries that no longer
    count are cleared away when they are the most.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._entries: list[tuple[float, int, Sleeper]] = []
        self._scheduled: dict[Sleeper, float] = {}
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, sleeper: Sleeper, deadline: float | None) -> None:
        """Let a sleeper sleep until this moment at the latest."""
        sleeper.deadline = deadline
        if deadline is None or self._scheduled.get(sleeper, deadline + 1) <= deadline:
            return
        self._scheduled[sleeper] = deadline
        if len(self._entries) > 2 * len(self._scheduled) + SPARE_ENTRIES:
            self._clear_away()
        heapq.heappush(self._entries, (deadline, next(self._numbers), sleeper))
        if self._entries[0][2] is sleeper:
            self._arm()

    def remove(self, sleeper: Sleeper) -> None:
        """Forget a sleeper. Its entry in the heap goes later."""
        sleeper.deadline = None
        self._scheduled.pop(sleeper, None)

    def _clear_away(self) -> None:
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
                continue  # it has left, or an earlier entry stands for it
            del self._scheduled[sleeper]
            deadline = sleeper.deadline
            if deadline is None:
                continue
            if deadline <= now:
                sleeper.wake()
            else:
                self.set(sleeper, deadline)
        self._arm()
