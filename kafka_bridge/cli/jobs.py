"""``kafka-bridge jobs cancel``."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, kafka_config
from kafka_bridge.cli.durations import seconds
from kafka_bridge.kafka.commands import send_cancel
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.errors import KafkaError, RecordLocation
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.protocol.topics import CONTROL_TOPIC

app = App()


@app.callback()
def _group() -> None:  # makes `cancel` a subcommand, although it is the only one
    pass


def _correlation_id(text: str) -> str:
    if not is_correlation_id(text):
        raise typer.BadParameter(
            f"{text!r} is not a correlation id. Expected a UUID in lower case, as in the task's "
            "log and in the keys of the job's records"
        )
    return text


@app.command("cancel")
def cancel_jobs(
    correlation_ids: Annotated[
        list[str],
        typer.Argument(
            help="The correlation ids of the jobs.", metavar="ID…", parser=_correlation_id
        ),
    ],
    reason: Annotated[
        str,
        typer.Option(metavar="TEXT", help="The reason, for the logs of the worker and the task."),
    ] = "cancelled from the command line",
    control: Annotated[
        str, typer.Option("--control", metavar="TOPIC", help="The control topic.")
    ] = CONTROL_TOPIC,
    timeout: Annotated[
        float,
        typer.Option(
            parser=seconds(0.1),
            metavar="SECONDS",
            help="The time that the brokers have to acknowledge the commands, in seconds.",
        ),
    ] = 30.0,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Send workers the command to cancel jobs, whether they run or are still queued.

    The output says whether the command was sent. The worker that has the job confirms the cancel
    with a CANCELLED event. The exit code is 1 if a command was not sent.
    """
    with RecordProducer(kafka_config(bootstrap_servers), timeout) as producer:
        producer.connect(control)
        sent = {job: send_cancel(producer, control, job, reason) for job in correlation_ids}
        failed = [job for job, acknowledged in sent.items() if not _is_sent(job, acknowledged)]
    if failed:
        raise typer.Exit(1)


def _is_sent(job: str, acknowledged: Future[RecordLocation]) -> bool:
    """Print whether a command was sent; return it."""
    try:
        typer.echo(f"{job}: CANCEL sent ({acknowledged.result()})")
    except KafkaError as error:
        typer.echo(f"{job}: CANCEL not sent: {error}", err=True)
        return False
    return True
