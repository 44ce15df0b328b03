"""``kafka-bridge jobs cancel``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.durations import seconds
from kafka_bridge.cli.job_views import print_jobs
from kafka_bridge.cli.jobs.filters import (
    Dag,
    JobType,
    Run,
    States,
    Text,
    Worker,
    correlation_id,
    selection,
)
from kafka_bridge.cli.monitored import (
    Control,
    Requests,
    Responses,
    Since,
    monitored_topics,
    read_book,
)
from kafka_bridge.kafka.commands import send_cancel
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.selection import JobSelection
from kafka_bridge.protocol.errors import ConfigurationError, KafkaError, RecordLocation
from kafka_bridge.protocol.messages import utc_now
from kafka_bridge.protocol.topics import CONTROL_TOPIC

app = App()


@app.command()
def cancel_jobs(
    correlation_ids: Annotated[
        list[str] | None,
        typer.Argument(
            help="The correlation ids of the jobs.", metavar="ID", parser=correlation_id
        ),
    ] = None,
    states: States = None,
    job_type: JobType = None,
    dag: Dag = None,
    run: Run = None,
    worker: Worker = None,
    text: Text = None,
    since: Since = "24h",  # type: ignore[assignment]
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the jobs that the filters choose; cancel none.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    reason: Annotated[
        str,
        typer.Option(metavar="TEXT", help="The reason, for the logs of the worker and the task."),
    ] = "cancelled from the command line",
    requests: Requests = None,
    responses: Responses = None,
    control: Control = CONTROL_TOPIC,
    timeout: Annotated[
        float,
        typer.Option(
            parser=seconds(0.1),
            metavar="SECONDS",
            help="The time that the brokers have to acknowledge the commands: seconds, or 2m.",
        ),
    ] = 30.0,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Send workers the command to cancel jobs, whether they run or are still queued.

    Name the jobs by their ids, or choose by filters those that have not ended.

    The output says whether the command was sent. The worker that has the job confirms the cancel
    with a CANCELLED event. The exit code is 1 if a command was not sent.
    """
    wanted = selection(states, job_type, dag, run, worker, text)
    has_filters = wanted != JobSelection()
    if bool(correlation_ids) == has_filters:
        raise ConfigurationError(
            "give either the ids of jobs, or filters such as --type, --dag or --state"
        )
    if dry_run and not has_filters:
        raise ConfigurationError("--dry-run can be used with filters only")
    config = kafka_config(bootstrap_servers, config_file)
    jobs = correlation_ids or []
    if has_filters:
        book = read_book(config, monitored_topics(requests, responses, control), since)
        chosen = sorted(
            filter(wanted.includes, book.live_jobs()), key=lambda job: job.correlation_id
        )
        jobs = [] if dry_run else _confirmed(chosen, yes=yes)
        if dry_run:
            _print_chosen(chosen)
    if jobs and not _send(config, control, jobs, reason, timeout):
        raise typer.Exit(1)


def _print_chosen(chosen: Sequence[JobView]) -> None:
    if chosen:
        print_jobs(chosen, utc_now())
    else:
        typer.echo("No job that has not ended matches the filters", err=True)


def _confirmed(chosen: Sequence[JobView], *, yes: bool) -> list[str]:
    """Return the ids of the chosen jobs, once a person agrees."""
    if not chosen or not yes:
        _print_chosen(chosen)
    if chosen and not yes:
        typer.confirm(f"Cancel these jobs ({len(chosen):,})?", abort=True)
    return [job.correlation_id for job in chosen]


def _send(
    config: KafkaConfig, control: str, jobs: Sequence[str], reason: str, timeout: float
) -> bool:
    """Send the commands; return whether all were sent."""
    with RecordProducer(config, timeout) as producer:
        producer.connect(control)
        sent = {job: send_cancel(producer, control, job, reason) for job in jobs}
        failed = [job for job, acknowledged in sent.items() if not _is_sent(job, acknowledged)]
    return not failed


def _is_sent(job: str, acknowledged: Future[RecordLocation]) -> bool:
    """Print whether a command was sent; return it."""
    try:
        typer.echo(f"{job}: CANCEL sent ({acknowledged.result()})")
    except KafkaError as error:
        typer.echo(f"{job}: CANCEL not sent: {error}", err=True)
        return False
    return True
