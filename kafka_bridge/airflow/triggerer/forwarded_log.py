"""What a job logs at its worker, as lines of its task's log, within the limits for lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.airflow.triggerer.log_budget import ENVELOPE_BYTES, Allowance, LogBudget
from kafka_bridge.protocol.log_lines import LEVELS, LogLine

ENTRY_BYTES = 4_000
"""Lines of the same level are logged in one entry of about this size: an entry costs more than the
text of a line."""


class ForwardedLog:
    """Logs the lines of one job, in order and at their levels; counts those over the limits.

    :param own: the bytes that this job may log
    :param budget: what all jobs of the process may log together
    """

    __slots__ = ("_budget", "_left_out", "_log", "_own")

    def __init__(self, log: TaskLog, own: Allowance, budget: LogBudget) -> None:
        self._log = log
        self._own = own
        self._budget = budget
        self._left_out = 0

    def log(self, lines: Iterable[LogLine]) -> None:
        """Log lines as far as the limits allow."""
        for level, entry in _entries(lines):
            if self._own.is_spent or self._budget.is_spent:
                self._left_out += len(entry)
            else:
                self._say_what_was_left_out()
                self._write(level, "\n".join(entry))

    def close(self) -> None:
        """Log how many lines were left out."""
        self._say_what_was_left_out()

    def _say_what_was_left_out(self) -> None:
        if self._left_out:
            are = "line of the job was" if self._left_out == 1 else "lines of the job were"
            self._write(
                "INFO",
                f"… {self._left_out:,} more log {are} left out here ([kafka_bridge] "
                "max_log_bytes_per_second, and a limit for all waiting jobs)",
            )
            self._left_out = 0

    def _write(self, level: str, text: str) -> None:
        size = len(text.encode("utf-8", "replace")) + ENVELOPE_BYTES
        self._own.spend(size)
        self._budget.spend(size)
        self._log.log(LEVELS[level], "%s", text)


def _entries(lines: Iterable[LogLine]) -> Iterator[tuple[str, list[str]]]:
    """Give lines in groups of the same level, none of which is large."""
    group: list[str] = []
    level, size = "", 0
    for line in lines:
        if group and (line.level != level or size >= ENTRY_BYTES):
            yield level, group
            group, size = [], 0
        level = line.level
        group.append(line.text)
        size += len(line.text)
    if group:
        yield level, group
