"""One row of the table: what is measured, against what, in how many rounds, and what came of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """What a ratio or a difference should be: ``compare`` is ``"<="`` or ``">="``."""

    compare: str
    value: float
    unit: str = "×"

    def met_by(self, value: float) -> bool:
        """Tell whether a measured value meets the target."""
        return value <= self.value if self.compare == "<=" else value >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.compare == '<=' else '≥'} {self.value:g} {self.unit}"


@dataclass(frozen=True)
class Round:
    """One round: the same thing, by us and by the peer, in the same unit."""

    ours: float
    peer: float


@dataclass
class Result:
    """A measured row.

    ``figure`` makes a round into the figure that the target speaks of: by default ours divided by
    the peer's; ``figure_unit`` is its unit where there is no target to say so. ``explanation`` says
    where the time goes, for a reader of a row that misses its target; ``note`` is always shown.
    """

    name: str
    peer: str
    unit: str
    target: Target | None
    rounds: list[Round] = field(default_factory=list)
    figure: Callable[[Round], float] = lambda each: each.ours / each.peer
    figure_unit: str = "×"
    note: str = ""
    explanation: str = ""
    has_failed: bool = False

    @property
    def figures(self) -> list[float]:
        """The figure of each round."""
        return [self.figure(each) for each in self.rounds]

    @property
    def median(self) -> float:
        """The median of the rounds' figures."""
        return statistics.median(self.figures)

    @property
    def verdict(self) -> str:
        """``met``, ``missed``, or ``reported`` where there is no target."""
        if not self.rounds:
            return "not measured"
        if self.target is None:
            return "reported"
        return "met" if self.target.met_by(self.median) else "missed"

    @property
    def remarks(self) -> str:
        """The verdict, and what is to be known about it."""
        missed = self.explanation if self.verdict == "missed" else ""
        return ". ".join(filter(None, (self.verdict, self.note, missed)))


@dataclass(frozen=True)
class Scale:
    """How much to measure: the short form is for every day, and its numbers are rougher."""

    short: bool

    def rounds(self, full: int = 5) -> int:
        """Return how many rounds to run of something that takes ``full`` of them."""
        return min(2, full) if self.short else full

    def size(self, full: int) -> int:
        """Return how many of something to use: a tenth in the short form."""
        return full // 10 if self.short else full


def percentile(values: Sequence[float], number: int) -> float:
    """Return a percentile of measured values, 1 to 99."""
    return statistics.quantiles(values, n=100, method="inclusive")[number - 1]
