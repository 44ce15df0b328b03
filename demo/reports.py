"""The report of an audit, printed, and checked without Airflow and Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demo.steps import Steps
from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.testing.local_airflow import LocalAirflow
from kafka_bridge.testing.local_airflow.logs import LogLine

NOISE = (
    "::group::",
    "::endgroup::",
    "DAG bundles loaded",
    "Filling up the DagBag",
    "Worker startup",
)


MOST_SUFFIXES = 4


class DemoFailed(KafkaBridgeError):
    """The demo failed."""


def print_log(steps: Steps, airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str) -> None:
    """Print a task's log without Airflow's own lines."""
    for line in airflow.task_log(dag_id, run_id, task_id):
        if not line.event.startswith(NOISE):
            steps.add(_plain(line), "dim")


def _plain(line: LogLine) -> str:
    time = f"{line.timestamp:%H:%M:%S} " if line.timestamp else ""
    return f"{time}{line.event}"


def print_report(steps: Steps, report: dict[str, Any]) -> None:
    """Print the report of an audit."""
    counts = [f"{lines:,} in {suffix}" for suffix, lines in report["lines_by_suffix"].items()]
    suffixes = ", ".join([*counts[:MOST_SUFFIXES], *["…"] * (len(counts) > MOST_SUFFIXES)])
    for line in (
        f"directory  {report['directory']}",
        f"files      {report['files']:,} ({report['bytes']:,} bytes)",
        f"lines      {suffixes}",
        f"sha256     {report['sha256']}",
    ):
        steps.add(line)


def count_again(steps: Steps, report: dict[str, Any], pattern: str = "*") -> None:
    """Count the files in this process, and print that the report is correct.

    :raises DemoFailed: the report has other numbers
    """
    paths = [path for path in Path(report["directory"]).rglob(pattern) if path.is_file()]
    counted = len(paths), sum(path.stat().st_size for path in paths)
    if counted != (report["files"], report["bytes"]):
        raise DemoFailed(f"this process counted {counted}, but the report has another number")
    steps.say(f"Counted again here, without Airflow and Kafka: {counted[0]:,} files, the same.")
