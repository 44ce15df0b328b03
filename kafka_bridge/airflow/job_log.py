"""A job's lines in its task's log, sparingly: each line that a trigger logs slows the triggerer.

Airflow's triggerer carries every line from the process of the triggers to its supervisor, in pieces
of 4 KiB a loop, with the triggers' events queued behind them. So there are two limits: one line for
each job and ``progress_log_interval``, and :data:`LINES_PER_SECOND` for all jobs of the process.
A line that may not be said now is kept, the latest one only, and said when the job is next heard
of. How a job ends is said by the resumed task, and no limit concerns it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

LINES_PER_SECOND = 50.0
BURST_LINES = 100.0
"""How many lines may come at once after some quiet seconds."""


class Log(Protocol):
    """The part of a logger that is used here."""

    def info(self, event: str, /, *args: object) -> object:
        """Write a line."""

    def warning(self, event: str, /, *args: object) -> object:
        """Write a line that stands out."""


class LogBudget:
    """The lines that all triggers of a process may log together.

    :param rate: lines a second
    :param burst: lines at once
    """

    def __init__(self, rate: float = LINES_PER_SECOND, burst: float = BURST_LINES) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._counted_at = time.monotonic()

    def take(self) -> bool:
        """Take one line, if there is one left."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._rate)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


PROCESS_BUDGET = LogBudget()
"""The process's own: what it protects, the way to the supervisor, is the process's as well."""


class SparingLog:
    """One kind of a job's lines.

    :param write: logs a line, as a logger's ``info`` does
    :param interval: seconds between two lines
    :param budget: what the lines of other jobs are counted against, too
    """

    __slots__ = ("_budget", "_interval", "_is_rare", "_kept", "_next_at", "_write")

    def __init__(
        self, write: Callable[[str, str], object], interval: float, budget: LogBudget
    ) -> None:
        self._write = write
        self._interval = interval
        self._budget = budget
        self._kept: str | None = None
        self._is_rare = False
        self._next_at = 0.0

    def say(self, line: str, *, is_rare: bool = False) -> None:
        """Log a line, or keep it for later; it replaces one that was kept.

        :param is_rare: the interval does not concern this line
        """
        self._kept, self._is_rare = line, is_rare
        self.say_kept()

    def say_kept(self) -> None:
        """Log the line that was kept, if there is one and it may be said now."""
        if self._kept is None or not (self._is_rare or time.monotonic() >= self._next_at):
            return
        if self._budget.take():
            self.flush()

    def flush(self) -> None:
        """Log the line that was kept, whatever the limits."""
        if self._kept is not None:
            self._write("%s", self._kept)
            self._kept = None
            if not self._is_rare:
                self._next_at = time.monotonic() + self._interval


class JobLog:
    """What one job's trigger logs: its progress and warnings, each sparingly."""

    __slots__ = ("_progress", "_warnings")

    def __init__(self, log: Log, interval: float, budget: LogBudget) -> None:
        self._progress = SparingLog(log.info, interval, budget)
        self._warnings = SparingLog(log.warning, interval, budget)

    def progress(self, line: str, *, is_rare: bool = False) -> None:
        """Say how far the job is."""
        self._progress.say(line, is_rare=is_rare)

    def warn(self, line: str) -> None:
        """Say that something is wrong."""
        self._warnings.say(line)

    def say_kept(self) -> None:
        """Say what was kept, where that may be said now."""
        self._warnings.say_kept()
        self._progress.say_kept()

    def close(self) -> None:
        """Say the warning that was kept; the job's end goes over its progress."""
        self._warnings.flush()
