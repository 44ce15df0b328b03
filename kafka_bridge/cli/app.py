"""The root of the command line. It turns each expected error into one line and exit code 1."""

from __future__ import annotations

import sys
from typing import Annotated, ClassVar

import typer

from kafka_bridge import __version__
from kafka_bridge.cli.command_group import App, CommandModule, LazyGroup
from kafka_bridge.protocol.errors import KafkaBridgeError


class KafkaBridge(LazyGroup):
    """``kafka-bridge``. Each command's module imports what it needs, such as the Kafka client."""

    modules: ClassVar = {
        "worker": CommandModule("kafka_bridge.cli.worker", "Run a worker, or check it."),
        "gateway": CommandModule(
            "kafka_bridge.cli.gateway",
            "Run jobs on the HTTP services and programs that a YAML file describes.",
            extra="gateway",
        ),
        "topics": CommandModule(
            "kafka_bridge.cli.topics", "Create and check the topics of a service; print its ACLs."
        ),
        "jobs": CommandModule(
            "kafka_bridge.cli.jobs", "List, show, watch, submit and cancel jobs."
        ),
        "queues": CommandModule(
            "kafka_bridge.cli.queues", "Show how many jobs wait and run in each request topic."
        ),
        "workers": CommandModule(
            "kafka_bridge.cli.workers", "List the workers and how many jobs they have."
        ),
        "board": CommandModule(
            "kafka_bridge.cli.board", "Show the jobs of services on a page.", extra="board"
        ),
        "doctor": CommandModule(
            "kafka_bridge.cli.doctor", "Find out why jobs do not work. It changes nothing."
        ),
        "dead-letters": CommandModule(
            "kafka_bridge.cli.dead_letters", "List, show and replay dead letters."
        ),
        "conformance": CommandModule(
            "kafka_bridge.cli.conformance", "Test whether a worker follows the protocol."
        ),
        "broker": CommandModule(
            "kafka_bridge.cli.broker", "Run a temporary Kafka broker for demos and tests."
        ),
    }


app = App(name="kafka-bridge", cls=KafkaBridge, add_completion=True, pretty_exceptions_enable=False)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"kafka-bridge {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
]


@app.callback()
def _kafka_bridge(version: Version = False) -> None:
    """Run the tasks of Airflow on services outside Airflow, over Kafka."""


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KafkaBridgeError as error:
        typer.echo(f"kafka-bridge: {error}", err=True)
        sys.exit(1)
