"""The command line's root. Every deliberate error becomes one line and exit code 1."""

from __future__ import annotations

import sys

import typer

from kafka_bridge.cli.broker import broker
from kafka_bridge.cli.dead_letters import dead_letters
from kafka_bridge.cli.gateway import gateway
from kafka_bridge.cli.jobs import jobs
from kafka_bridge.cli.topics import topics
from kafka_bridge.cli.worker import worker
from kafka_bridge.protocol.errors import KafkaBridgeError

app = typer.Typer(
    name="kafka-bridge",
    help="Airflow tasks, done by services outside Airflow, over Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(topics, name="topics")
app.add_typer(worker, name="worker")
app.add_typer(gateway, name="gateway")
app.add_typer(jobs, name="jobs")
app.add_typer(dead_letters, name="dead-letters")
app.command("broker")(broker)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KafkaBridgeError as error:
        typer.echo(f"kafka-bridge: {error}", err=True)
        sys.exit(1)
