"""The options that choose some of the jobs, and a job's id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from kafka_bridge.monitor.jobs import ShownState
from kafka_bridge.monitor.selection import JobSelection
from kafka_bridge.protocol.ids import is_correlation_id


def correlation_id(text: str) -> str:
    """Parse a correlation id.

    :raises typer.BadParameter: it is none
    """
    if not is_correlation_id(text):
        raise typer.BadParameter(
            f"{text!r} is not a correlation id. Expected a UUID in lower case, as in the task's "
            "log and in the keys of the job's records"
        )
    return text


States = Annotated[
    list[ShownState] | None,
    typer.Option(
        "--state",
        case_sensitive=False,
        metavar="STATE",
        help=f"Only jobs in this state: {', '.join(ShownState)}. Repeat the option for more.",
    ),
]
JobType = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", help="Only jobs of this type; * stands for any text."),
]
Dag = Annotated[
    str | None,
    typer.Option("--dag", metavar="DAG", help="Only jobs of this DAG; * stands for any text."),
]
Run = Annotated[
    str | None,
    typer.Option("--run", metavar="RUN", help="Only jobs of this DAG run; * stands for any text."),
]
Worker = Annotated[
    str | None,
    typer.Option(
        "--worker", metavar="WORKER", help="Only jobs of this worker; * stands for any text."
    ),
]
Text = Annotated[
    str | None,
    typer.Option(
        "--text",
        metavar="TEXT",
        help="Only jobs with this text in their id, their names, their message or their error.",
    ),
]


def selection(
    states: Sequence[ShownState] | None,
    job_type: str | None,
    dag: str | None,
    run: str | None,
    worker: str | None,
    text: str | None,
) -> JobSelection:
    """Return which jobs the options choose."""
    return JobSelection(
        states=frozenset(states or ()),
        job_type=job_type,
        dag_id=dag,
        run_id=run,
        worker_id=worker,
        text=text,
    )
