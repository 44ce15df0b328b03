"""Limits how much a waiting job writes to its task's log: each line slows the whole triggerer.

For each job, one line every ``progress_log_interval`` and ``max_log_bytes_per_second``; for all
jobs of the process, their common budget (:mod:`kafka_bridge.airflow.triggerer.log_budget`). A line
over the limit is kept (only the latest one) and logged when the job's next event arrives. No limit
applies to the resumed task, which logs the job's result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.airflow.triggerer.forwarded_log import ForwardedLog
from kafka_bridge.airflow.triggerer.log_budget import ENVELOPE_BYTES, Allowance, LogBudget
from kafka_bridge.protocol.log_lines import LogLine
from kafka_bridge.protocol.sanitize import one_line

WARNING_BYTES = 500
"""The longest warning: it is logged when the wait ends, whatever the limits."""
JOB_BURST_SECONDS = 10.0
"""A job that was quiet may log as much at once as otherwise in this time."""


class SparingLog:
    """One kind of a job's lines.

    :param write: logs a line, as a logger's ``info`` does
    :param interval: seconds between two lines
    :param own: the bytes that this job may log
    :param budget: what all jobs of the process may log together
    """

    __slots__ = ("_budget", "_interval", "_is_rare", "_kept", "_next_at", "_own", "_write")

    def __init__(
        self,
        write: Callable[[str, str], object],
        interval: float,
        own: Allowance,
        budget: LogBudget,
    ) -> None:
        self._write = write
        self._interval = interval
        self._own = own
        self._budget = budget
        self._kept: str | None = None
        self._is_rare = False
        self._next_at = 0.0

    @property
    def has_kept(self) -> bool:
        """Whether a line is kept."""
        return self._kept is not None

    @property
    def has_room(self) -> bool:
        """Whether the job and the process may log something now."""
        return not (self._own.is_spent or self._budget.is_spent)

    def log(self, line: str, *, is_rare: bool = False) -> None:
        """Log a line, or keep it for later; it replaces a kept line.

        :param is_rare: the interval does not apply to this line
        """
        self._kept, self._is_rare = line, is_rare
        self.log_kept()

    def log_kept(self) -> None:
        """Log the kept line if the limits allow it now."""
        if self._kept is None or not (self._is_rare or time.monotonic() >= self._next_at):
            return
        if self.has_room:
            self.flush()

    def flush(self) -> None:
        """Log the kept line, whatever the limits."""
        if self._kept is None:
            return
        size = len(self._kept.encode("utf-8", "replace")) + ENVELOPE_BYTES
        self._own.spend(size)
        self._budget.spend(size)
        self._write("%s", self._kept)
        self._kept = None
        if not self._is_rare:
            self._next_at = time.monotonic() + self._interval


class JobLog:
    """The log of one job's trigger: its progress, its warnings and what it logs, all limited.

    :param log: the task's log
    :param interval: seconds between two progress lines, and between two warnings
    :param bytes_per_second: how much the job may log on average
    """

    __slots__ = ("_forwarded", "_progress", "_warnings")

    def __init__(
        self, log: TaskLog, interval: float, budget: LogBudget, bytes_per_second: float
    ) -> None:
        own = Allowance(bytes_per_second, bytes_per_second * JOB_BURST_SECONDS)
        self._progress = SparingLog(log.info, interval, own, budget)
        self._warnings = SparingLog(log.warning, interval, own, budget)
        self._forwarded = ForwardedLog(log, own, budget)

    def progress(self, line: str, *, is_rare: bool = False) -> None:
        """Log how far the job is."""
        self._progress.log(line, is_rare=is_rare)

    @property
    def has_room(self) -> bool:
        """Whether the limits allow a line now. What is of no use later need not be logged."""
        return self._progress.has_room

    def warning(self, line: str) -> None:
        """Log that something is wrong."""
        self._warnings.log(one_line(line, WARNING_BYTES))

    def forwarded(self, lines: Iterable[LogLine]) -> None:
        """Log what the job has logged, after the progress before it."""
        if self.has_room:
            self._progress.flush()
        self._forwarded.log(lines)

    @property
    def has_kept(self) -> bool:
        """Whether a line is still to be logged."""
        return self._warnings.has_kept or self._progress.has_kept

    def log_kept(self) -> None:
        """Log the kept lines if the limits allow it now."""
        self._warnings.log_kept()
        self._progress.log_kept()

    def close(self) -> None:
        """Log the kept warning, and what was left out. Kept progress is dropped: the job ended."""
        self._warnings.flush()
        self._forwarded.close()
