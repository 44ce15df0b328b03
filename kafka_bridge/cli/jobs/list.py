"""``kafka-bridge jobs list``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.job_views import job_facts, print_jobs, print_json
from kafka_bridge.cli.jobs.filters import Dag, JobType, Run, States, Text, Worker, selection
from kafka_bridge.cli.monitored import (
    AsJson,
    Control,
    Responses,
    Since,
    Topics,
    monitored_topics,
    read_book,
)
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.protocol.messages import utc_now
from kafka_bridge.protocol.topics import CONTROL_TOPIC

DEFAULT_LIMIT = 100

app = App()


@app.command()
def list_jobs(
    topics: Topics = None,
    states: States = None,
    job_type: JobType = None,
    dag: Dag = None,
    run: Run = None,
    worker: Worker = None,
    text: Text = None,
    since: Since = "24h",  # type: ignore[assignment]
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Show only the N jobs that changed last.")
    ] = DEFAULT_LIMIT,
    as_json: AsJson = False,
    responses: Responses = None,
    control: Control = CONTROL_TOPIC,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """List the jobs of the last day, those that changed last at the end.

    The topics are read once, from that time on. No consumer group and no worker notices it.
    """
    wanted = replace(selection(states, job_type, dag, run, worker, text), changed_since=since)
    monitored = monitored_topics(topics, responses, control)
    book = read_book(kafka_config(bootstrap_servers, config_file), monitored, since)
    found = sorted(filter(wanted.includes, book.jobs()), key=_changed_at)
    shown = found[-limit:]
    if as_json:
        print_json(map(job_facts, shown))
    elif shown:
        print_jobs(shown, utc_now())
    else:
        typer.echo(_no_jobs(monitored.requests, since), err=True)
    if len(shown) < len(found):
        typer.echo(
            f"Only the last {len(shown):,} of {len(found):,} jobs are shown. "
            "Use --limit to show more.",
            err=True,
        )


def _changed_at(job: JobView) -> tuple[datetime, str]:
    return job.change_order, job.correlation_id


def _no_jobs(topics: Sequence[str], since: datetime) -> str:
    return (
        f"No job of {', '.join(topics)} since {since:%Y-%m-%d %H:%M}Z matches. "
        "Use an earlier --since, or fewer filters."
    )
