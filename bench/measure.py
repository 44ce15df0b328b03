"""One row of the table: what is measured, its peer, its target and its rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """The wanted ratio or difference: ``compare`` is ``"<="`` or ``">="``."""

    compare: str
    value: float
    unit: str = "×"

    def met_by(self, value: float) -> bool:
        """Return whether a measured value meets the target."""
        return value <= self.value if self.compare == "<=" else value >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.compare == '<=' else '≥'} {self.value:g} {self.unit}"


@dataclass(frozen=True)
class Round:
    """One round: the values of our side and of the peer, in the same unit."""

    ours: float
    peer: float


@dataclass
class Result:
    """A measured row.

    ``figure`` returns a round's figure, which has the target: by default our value divided by the
    peer's. ``figure_unit`` is its unit if there is no target. ``explanation`` says where the time
    goes; it is shown if the row misses its target. ``note`` is always shown. ``point`` makes the
    row a point of a curve: the curve's name, and where the point lies on the horizontal axis.
    ``summary`` is a sentence for people who read no table; ``{ours}`` and ``{peer}`` are the values
    with their unit.
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
    point: tuple[str, float] | None = None
    summary: str = ""

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
        """``met`` or ``missed``; ``reported`` without a target."""
        if not self.rounds:
            return "not measured"
        if self.target is None:
            return "reported"
        return "met" if self.target.met_by(self.median) else "missed"

    @property
    def remarks(self) -> str:
        """The verdict, the note, and the explanation of a missed target."""
        missed = self.explanation if self.verdict == "missed" else ""
        return ". ".join(filter(None, (self.verdict, self.note, missed)))


@dataclass(frozen=True)
class Scale:
    """How much to measure. The short form is for everyday use; its numbers are less exact."""

    short: bool

    def rounds(self, full: int = 5) -> int:
        """Return how many rounds to run; ``full`` is the number in the long form."""
        return min(2, full) if self.short else full

    def size(self, full: int) -> int:
        """Return how many jobs or records to use: a tenth of ``full`` in the short form."""
        return full // 10 if self.short else full


def percentile(values: Sequence[float], number: int) -> float:
    """Return a percentile of measured values, 1 to 99."""
    return statistics.quantiles(values, n=100, method="inclusive")[number - 1]
