"""The progress of a batch: how many jobs are in which state, and its lines in the task's log."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from kafka_bridge.protocol.progress_text import duration, pace

WINDOW_SECONDS = 60.0
"""The pace is that of the last minute: workers come and go."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs of a batch are in which state. ``failed`` includes the cancelled ones."""

    total: int
    running: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        """How many have finished."""
        return self.succeeded + self.failed

    @property
    def queued(self) -> int:
        """How many no worker has accepted, as far as is known."""
        return self.total - self.done - self.running

    def __str__(self) -> str:
        failed = f" ({self.failed:,} failed)" if self.failed else ""
        return (
            f"{self.done:,} of {self.total:,} jobs done{failed}, "
            f"{self.running:,} running, {self.queued:,} queued"
        )


class BatchProgress:
    """Makes the progress lines of a batch."""

    def __init__(self) -> None:
        self._last: Tally | None = None
        self._seen: deque[tuple[float, int]] = deque()

    def line(self, tally: Tally, now: float) -> str | None:
        """Return the line for this moment (in seconds), or None if nothing has changed."""
        if tally == self._last:
            return None
        self._last = tally
        return f"{100 * tally.done // max(1, tally.total)} %: {tally}{self._pace(tally, now)}"

    def _pace(self, tally: Tally, now: float) -> str:
        self._seen.append((now, tally.done))
        while self._seen[0][0] < now - WINDOW_SECONDS:
            self._seen.popleft()
        begin, done = self._seen[0]
        if tally.done == done:  # the first line, or no job has finished within the window
            return ""
        rate = (tally.done - done) / (now - begin)
        return f" – {pace(rate)}, {duration((tally.total - tally.done) / rate)} left"
