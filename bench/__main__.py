"""The command line of the measurements."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from bench.measure import Result, Scale
from bench.page import write_page
from bench.report import print_table, summary
from kafka_bridge.testing import find_broker

ROWS = (
    "waiting",
    "opening",
    "provider",
    "latency",
    "memory",
    "steady",
    "triggerer",
    "worker",
    "processes",
    "languages",
    "restart",
    "rolling",
    "gateway",
    "callbacks",
    "batch",
    "mapped",
    "patterns",
    "quick",
    "imports",
    "board",
)


def main(
    rows: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(ROWS)}.")] = None,
    short: Annotated[bool, typer.Option(help="Fewer rounds and records: some minutes.")] = False,
    write: Annotated[bool, typer.Option(help="Write docs/benchmarks.md and its plot.")] = False,
) -> None:
    """Measure the bridge and its peers on a real Kafka."""
    console, scale = Console(width=170), Scale(short)
    results: list[Result] = []
    begin = time.monotonic()
    with find_broker() as broker:
        console.print(f"Kafka ({broker.kind}) at {broker.bootstrap_servers}")
        for name in rows or ROWS:
            row_begin = time.monotonic()
            with console.status(name) as status:
                results += _measure(name, broker.bootstrap_servers, scale, status.update, console)
            console.print(f"{name}: {time.monotonic() - row_begin:.0f} s")
    print_table(console, results)
    console.print(f"{time.monotonic() - begin:.0f} s")
    for line in summary(results):
        console.print(line)
    if write:
        write_page(results, broker.kind, short=short)
    if any(result.has_failed for result in results):
        raise typer.Exit(1)


def _measure(
    name: str, servers: str, scale: Scale, say: Callable[[str], None], console: Console
) -> list[Result]:
    """Measure the rows of one module. If this fails, the other modules are still measured."""
    module = importlib.import_module(f"bench.rows.{name}")
    try:
        results: list[Result] = module.run(servers, scale, say)
    except Exception as error:
        console.print_exception()
        results = [Result(name, "–", "", None, note=f"failed: {error}", has_failed=True)]
    return results


if __name__ == "__main__":
    typer.run(main)
