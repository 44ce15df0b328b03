"""How a batch comes along, as lines of the task's log: percent, pace, and when it may be done."""

from __future__ import annotations

from collections import deque

from kafka_bridge.airflow.batch.timeouts import Tally
from kafka_bridge.airflow.progress_text import duration, pace

WINDOW_SECONDS = 60.0
"""The pace is that of so many last seconds: workers come and go."""


class BatchProgress:
    """Makes the lines; none where nothing has changed."""

    def __init__(self) -> None:
        self._last: Tally | None = None
        self._seen: deque[tuple[float, int]] = deque()

    def line(self, tally: Tally, now: float) -> str | None:
        """Return what there is to say at this moment (in seconds), or None."""
        if tally == self._last:
            return None
        self._last = tally
        return f"{100 * tally.done // max(1, tally.total)} %: {tally}{self._pace(tally, now)}"

    def _pace(self, tally: Tally, now: float) -> str:
        self._seen.append((now, tally.done))
        while self._seen[0][0] < now - WINDOW_SECONDS:
            self._seen.popleft()
        begin, done = self._seen[0]
        if tally.done == done:  # the first line, or nothing has ended for as long as is looked at
            return ""
        rate = (tally.done - done) / (now - begin)
        return f" – {pace(rate)}, {duration((tally.total - tally.done) / rate)} left"
