"""The command line of the measurements."""

from __future__ import annotations

import importlib
import time
from typing import Annotated

import typer
from rich.console import Console

from bench.measure import Result, Scale
from bench.report import print_table, write_page
from kafka_bridge.testing import find_broker

ROWS = ("waiting", "provider", "latency", "memory", "steady", "triggerer", "worker", "imports")


def main(
    rows: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(ROWS)}.")] = None,
    short: Annotated[bool, typer.Option(help="Fewer rounds and records: under 3 minutes.")] = False,
    write: Annotated[bool, typer.Option(help="Write docs/benchmarks.md and its plot.")] = False,
) -> None:
    """Measure, on a real Kafka, side by side with the peers."""
    console, scale = Console(width=170), Scale(short)
    results: list[Result] = []
    begin = time.monotonic()
    with find_broker() as broker:
        console.print(f"Kafka ({broker.kind}) at {broker.bootstrap_servers}")
        for name in rows or ROWS:
            module = importlib.import_module(f"bench.rows.{name}")
            with console.status(name) as status:
                results += module.run(broker.bootstrap_servers, scale, status.update)
    print_table(console, results)
    console.print(f"{time.monotonic() - begin:.0f} s")
    if write:
        write_page(results, broker.kind)


if __name__ == "__main__":
    typer.run(main)
