"""``kafka-bridge jobs cancel``."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Annotated

import typer

from kafka_bridge.cli.durations import seconds
from kafka_bridge.protocol.errors import KafkaError, RecordLocation
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.protocol.topics import CONTROL_TOPIC

jobs = typer.Typer(help="Act on jobs, by their correlation ids.", no_args_is_help=True)


@jobs.callback()
def _group() -> None:
    """Act on jobs, by their correlation ids."""


def _correlation_id(text: str) -> str:
    if not is_correlation_id(text):
        raise typer.BadParameter(
            f"{text!r} is no correlation id: those are UUIDs in lower case, as the task's log and "
            "the key of every record of a job have them"
        )
    return text


@jobs.command("cancel")
def cancel_jobs(
    correlation_ids: Annotated[
        list[str],
        typer.Argument(help="The jobs.", metavar="ID…", parser=_correlation_id),
    ],
    reason: Annotated[
        str, typer.Option(help="Why, for the worker's log and the task's.")
    ] = "cancelled from the command line",
    control: Annotated[str, typer.Option("--control", help="The control topic.")] = CONTROL_TOPIC,
    timeout: Annotated[
        float,
        typer.Option(
            parser=seconds(0.1),
            metavar="SECONDS",
            help="Seconds until the brokers must have the commands.",
        ),
    ] = 30.0,
) -> None:
    """Tell the workers to stop these jobs, or not to start them.

    It says what was sent, not what came of it: the worker that has a job confirms with CANCELLED.
    Exit code 1 where the brokers do not have one of the commands.
    Kafka is configured by the environment, as for `kafka-bridge worker run`.
    """
    from kafka_bridge.kafka.commands import send_cancel
    from kafka_bridge.kafka.config import KafkaConfig
    from kafka_bridge.kafka.producer import RecordProducer

    with RecordProducer(KafkaConfig.from_env(), timeout) as producer:
        producer.connect(control)
        sent = {job: send_cancel(producer, control, job, reason) for job in correlation_ids}
        failed = [job for job, acknowledged in sent.items() if not _is_sent(job, acknowledged)]
    if failed:
        raise typer.Exit(1)


def _is_sent(job: str, acknowledged: Future[RecordLocation]) -> bool:
    """Print what came of one command, and return whether the brokers have it."""
    try:
        typer.echo(f"{job}: CANCEL is sent ({acknowledged.result()})")
    except KafkaError as error:
        typer.echo(f"{job}: CANCEL is not sent: {error}", err=True)
        return False
    return True
