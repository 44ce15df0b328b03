"""``kafka-bridge broker``: a Kafka broker in the foreground, for demos and tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer

from kafka_bridge.testing.brokers import (
    ApacheKafka,
    Broker,
    BrokerError,
    EmbeddedBroker,
    NoBrokerFound,
    TopicExists,
    find_broker,
)

app = typer.Typer(add_completion=False)

PARENT_POLL_INTERVAL = 0.2
"""Seconds between two checks that the parent process still runs."""


class BrokerKind(StrEnum):
    """The broker to run."""

    EMBEDDED = "embedded"
    APACHE = "apache"
    AUTO = "auto"


Kind = Annotated[
    BrokerKind,
    typer.Option(
        help="embedded: the mock cluster of librdkafka, nothing to install. apache: Apache Kafka, "
        "needs a JDK 17 or newer. auto: the first real broker that is available, else embedded."
    ),
]
Topic = Annotated[list[str] | None, typer.Option(help="A topic to create. Can be repeated.")]
StopWithParent = Annotated[
    bool, typer.Option(help="Stop when the process that started the broker ends.")
]


@app.command()
def broker(
    kind: Kind = BrokerKind.EMBEDDED,
    topic: Topic = None,
    stop_with_parent: StopWithParent = True,
) -> None:
    """Run a temporary Kafka broker until Ctrl-C. Its data are deleted when it stops.

    When the broker is ready, its address is printed as host:port. Nothing else is written to
    standard output.
    """
    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with _start(kind) as running:
            _create_topics(running, topic or ())
            _log(f"the {running.kind} broker is ready, Ctrl-C stops it. Its address:")
            typer.echo(running.bootstrap_servers)
            _wait(parent if stop_with_parent else None)
    except KeyboardInterrupt:
        _log("stopped")
    except BrokerError as error:
        _log(str(error))
        raise typer.Exit(1) from error


def _start(kind: BrokerKind) -> Broker:
    if kind is BrokerKind.EMBEDDED:
        return EmbeddedBroker().start()
    if kind is BrokerKind.APACHE:
        _log("starting Apache Kafka; the first start downloads it with Maven …")
        return ApacheKafka().start()
    try:
        return find_broker()
    except NoBrokerFound as error:
        _log(f"{error}\nThe embedded broker is used instead.")
        return EmbeddedBroker().start()


def _create_topics(running: Broker, names: Iterable[str]) -> None:
    for name in names:
        try:
            running.create_topic(name)
        except TopicExists as error:
            _log(f"{error}; it is not changed")


def _wait(parent: int | None) -> None:
    """Return when the parent of this process has changed; never if ``parent`` is None."""
    while parent is None or os.getppid() == parent:
        time.sleep(PARENT_POLL_INTERVAL)
    _log("the parent process has ended; stopping")


def _log(text: str) -> None:
    typer.echo(f"kafka-bridge broker: {text}", err=True)
