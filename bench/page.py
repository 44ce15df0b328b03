"""Writes ``docs/benchmarks.md`` and its plot: results, machine and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import confluent_kafka as ck
import psutil

from bench.curves import curves
from bench.measure import Result
from bench.plot import plot
from bench.report import markdown_table, summary
from kafka_bridge.testing.brokers.jars import KAFKA_VERSION

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"
PLOT = DOCS / "images" / "benchmarks.svg"
CURVES = DOCS / "images" / "slot-seconds.svg"
PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-apache-kafka",
    "confluent-kafka",
    "fastavro",
)
CPU_FACTS = Path("/proc/cpuinfo")

INTRODUCTION = """\
Each row measures the bridge ("ours") and a peer, or the minimum that any implementation has to do.
Both run on the same broker, round by round. The figure with a target is a ratio or a difference of
the two. The table gives the median of the rounds, with the lowest and the highest one. Broker,
publisher and both sides share the machine: trust the ratios more than the absolute numbers.

    make bench                     # everything; writes this page
    make bench SHORT=1             # fewer rounds and records, no page: some minutes
    make bench ROWS="waiting steady"

The docstring of each module in `bench/rows/` says exactly what its row measures.

![Each row's figure as a share of its target](images/benchmarks.svg)
"""


def write_page(results: Sequence[Result], broker: str, *, short: bool) -> None:
    """Write the page and its plots.

    :param broker: the kind of broker that was measured on
    :param short: whether this was the short form; the page names the command
    """
    PLOT.write_text(plot(results), encoding="utf-8")
    if any(result.point for result in results):
        CURVES.write_text(curves(results), encoding="utf-8")
    table = markdown_table(results)
    head = ["# Benchmarks", "", *summary(results), "", INTRODUCTION]
    lines = [*head, *table, "", *_circumstances(broker, short=short), ""]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


def _circumstances(broker: str, *, short: bool) -> list[str]:
    kafka = f"Apache Kafka {KAFKA_VERSION}" if broker == "apache" else f"the broker {broker!r}"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    command = "make bench SHORT=1" if short else "make bench"
    return [
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{command}`.",
        "",
        f"- Machine: {_processor()}, {os.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB of memory, "
        f"{platform.system()} {platform.release().split('-')[0]}",
        f"- Versions: Python {platform.python_version()}, {kafka}, "
        f"librdkafka {ck.libversion()[0]}, {versions}",
    ]


def _processor() -> str:
    """Return the processor's name, or its architecture if the name is unknown."""
    if CPU_FACTS.exists():
        for line in CPU_FACTS.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
