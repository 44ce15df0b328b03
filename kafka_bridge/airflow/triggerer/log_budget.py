"""Limits how much all waiting jobs of a process write to their tasks' logs together.

Airflow's triggerer passes every line from the process of the triggers to its supervisor, in pieces
of 4 KiB a loop, and the triggers' events queue behind the lines.
"""

from __future__ import annotations

import time

LINES_PER_SECOND = 50.0
BURST_LINES = 100.0
"""How many lines may be logged at once after some quiet seconds."""
BYTES_PER_SECOND = 20_000.0
"""A triggerer on a busy machine manages 50,000: measured, see docs/how-to/configure-airflow.md."""
BURST_BYTES = 40_000.0
ENVELOPE_BYTES = 250
"""The size of a line besides its text: Airflow sends each as a JSON object with the logger's name
and the call site."""


class Allowance:
    """A token bucket: an amount that is spent, and grows again with time.

    Spending more than is left is allowed, and the debt is paid back first: so the average holds for
    lines of any size.

    :param rate: how much it grows in a second
    :param burst: the largest amount
    """

    __slots__ = ("_burst", "_counted_at", "_left", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._counted_at = time.monotonic()

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._rate)
        self._counted_at = now
        return self._left <= 0

    def spend(self, amount: float) -> None:
        """Subtract an amount, even if less is left."""
        self._left -= amount


class LogBudget:
    """The lines, and the bytes, that all triggers of a process may log together."""

    def __init__(
        self,
        lines: float = LINES_PER_SECOND,
        burst_lines: float = BURST_LINES,
        bytes_: float = BYTES_PER_SECOND,
        burst_bytes: float = BURST_BYTES,
    ) -> None:
        self._lines = Allowance(lines, burst_lines)
        self._bytes = Allowance(bytes_, burst_bytes)

    @property
    def is_spent(self) -> bool:
        """Whether no line may be logged now."""
        return self._lines.is_spent or self._bytes.is_spent

    def spend(self, size: int) -> None:
        """Count a line of ``size`` bytes."""
        self._lines.spend(1)
        self._bytes.spend(size)


PROCESS_BUDGET = LogBudget()
"""One for the process: the channel to the supervisor that it protects is the process's, too."""
