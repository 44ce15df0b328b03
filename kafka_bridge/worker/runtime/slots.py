"""How many jobs a worker takes: those that run, and the few that it accepts ahead."""

from __future__ import annotations

import time
from collections import Counter

from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.job_run import JobRun

WINDOW_SECONDS = 0.1
MOST_AHEAD = 500
REFILL_SHARE = 4


class Slots:
    """Counts the jobs that are accepted and whose handlers have not ended.

    ACCEPTED is acknowledged before work starts. So that quick jobs do not wait for that one by one,
    some are accepted ahead: as many as were started in the last tenth of a second, less those that
    may still run. Each starts within about that time. Of slow jobs that is none: who reads ACCEPTED
    takes them for begun.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._holders: set[JobRun] = set()
        self._by_type: Counter[str] = Counter()
        self._limited = 0
        self._ahead = 0
        self._is_full = False
        self._started = 0
        self._window_ends = 0.0

    @property
    def taken(self) -> int:
        """How many are in use."""
        return len(self._holders)

    def look(self, started: int) -> None:
        """Follow how many jobs were started so far."""
        now = time.monotonic()
        if now >= self._window_ends:
            quick = max(0, started - self._started - self._concurrency)
            self._ahead = min(quick, MOST_AHEAD)
            self._started, self._window_ends = started, now + WINDOW_SECONDS

    def any_free(self) -> bool:
        """Tell whether a job of any type could be taken.

        Once all that may be accepted ahead are, some have to start before more are accepted: many
        at once cost less than one by one.
        """
        limit = self._concurrency + self._ahead
        if self._is_full:
            limit -= self._ahead // REFILL_SHARE
        self._is_full = self.taken >= limit
        return not self._is_full

    def free_for(self, handler: Handler) -> bool:
        """Tell whether a job with this handler can be taken.

        Those of types with a limit of their own may be slow: of these no more are taken than can
        run. Quick jobs that are ahead of them do not count: they start within a moment.
        """
        if handler.concurrency is None:
            return self.any_free()
        return (
            self._by_type[handler.job_type] < handler.concurrency
            and self._limited < self._concurrency
            and self.any_free()
        )

    def take(self, run: JobRun) -> None:
        """Count a job in."""
        self._holders.add(run)
        self._by_type[run.handler.job_type] += 1
        self._limited += run.handler.concurrency is not None

    def give_back(self, run: JobRun) -> None:
        """Count it out, unless that was done before."""
        if run in self._holders:
            self._holders.remove(run)
            self._by_type[run.handler.job_type] -= 1
            self._limited -= run.handler.concurrency is not None
