"""The table on the terminal, and the page with its plot."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Result

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-apache-kafka",
    "confluent-kafka",
    "fastavro",
)


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cells(result: Result) -> list[str]:
    if not result.rounds:
        return [result.name, result.peer, "–", "–", "–", str(result.target or "–"), result.note]
    ours = sorted(each.ours for each in result.rounds)
    peer = sorted(each.peer for each in result.rounds)
    figures = sorted(result.figures)
    unit = result.target.unit if result.target else "×"
    return [
        result.name,
        result.peer,
        f"{number(ours[len(ours) // 2])} {result.unit}",
        f"{number(peer[len(peer) // 2])} {result.unit}",
        f"{number(result.median)} {unit} ({number(figures[0])} … {number(figures[-1])})",
        str(result.target or "–"),
        result.verdict + (f". {result.note}" if result.note else ""),
    ]


HEAD = ("what", "peer or floor", "ours", "peer", "figure: median (min … max)", "target", "verdict")


def print_table(console: Console, results: list[Result]) -> None:
    """Print the rows measured so far."""
    table = Table(*HEAD)
    for result in results:
        table.add_row(*_cells(result))
    console.print(table)


def write_page(results: list[Result], broker: str) -> None:
    """Write ``docs/benchmarks.md``."""
    lines = [
        "# Benchmarks",
        "",
        "Each row measures ours and the peer in the same run, on the same broker, round by round.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(_cells(result))} |" for result in results),
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d} with `make bench` on {os.cpu_count()} cores "
        f"({platform.machine()}, {platform.system()}), Python {platform.python_version()}, "
        f"Kafka as {broker!r}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES) + ".",
        "",
    ]
    PAGE.write_text("\n".join(lines))
