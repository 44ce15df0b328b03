"""The table: on the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.measure import Result

HEAD = ("what", "peer or floor", "ours", "peer", "figure: median (min … max)", "target", "verdict")


def number(value: float) -> str:
    """Return a number with three significant digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cells(result: Result) -> list[str]:
    """Return a row of the table."""
    target = str(result.target or "–")
    if not result.rounds:
        return [result.name, result.peer, "–", "–", "–", target, result.remarks]
    figures = sorted(result.figures)
    unit = result.target.unit if result.target else result.figure_unit
    spread = f"{number(result.median)} {unit} ({number(figures[0])} … {number(figures[-1])})"
    return [
        result.name,
        result.peer,
        *_values(result),
        f"{spread}, {len(figures)} rounds" if len(figures) > 1 else spread,
        target,
        result.remarks,
    ]


def summary(results: Sequence[Result]) -> list[str]:
    """Return the sentences of the rows that have one, as a list in Markdown."""
    said = [(each.summary, _values(each)) for each in results if each.summary and each.rounds]
    return [f"- {words.format(ours=ours, peer=peer)}" for words, (ours, peer) in said]


def _values(result: Result) -> tuple[str, str]:
    """Return the medians of both sides, with their unit."""
    ours = _median([each.ours for each in result.rounds])
    peer = _median([each.peer for each in result.rounds])
    return f"{ours} {result.unit}", f"{peer} {result.unit}"


def _median(values: Sequence[float]) -> str:
    return number(sorted(values)[len(values) // 2])


def print_table(console: Console, results: Sequence[Result]) -> None:
    """Print the rows measured so far."""
    table = Table(*HEAD)
    for result in results:
        table.add_row(*cells(result))
    console.print(table)


def markdown_table(results: Sequence[Result]) -> list[str]:
    """Return the lines of the table in Markdown."""
    return [
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(cells(result))} |" for result in results),
    ]
