"""``kafka-bridge broker``: a Kafka broker in the foreground, for demos and tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import port as port_number
from kafka_bridge.testing.brokers import (
    ApacheKafka,
    Broker,
    BrokerError,
    EmbeddedBroker,
    NoBrokerFound,
    TopicExists,
    find_broker,
)
from kafka_bridge.testing.ports import free_port, is_free

app = App()

USUAL_PORT = 9092
"""Kafka's own: the address that the documentation uses."""

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
Port = Annotated[
    int | None,
    typer.Option(
        parser=port_number(1),
        metavar="PORT",
        help=f"The port on 127.0.0.1. By default {USUAL_PORT}, or a free port if another process "
        f"uses {USUAL_PORT}.",
    ),
]
Topic = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A topic to create. Can be repeated."),
]
StopWithParent = Annotated[
    bool,
    typer.Option(
        "--stop-with-parent",
        help="Stop when the process that started the broker ends, for scripts and tests.",
    ),
]


@app.command()
def broker(
    kind: Kind = BrokerKind.EMBEDDED,
    port: Port = None,
    topic: Topic = None,
    stop_with_parent: StopWithParent = False,
) -> None:
    """Run a temporary Kafka broker until Ctrl-C. Its data are deleted when it stops.

    When the broker is ready, its address is printed as host:port. Nothing else is written to
    standard output.
    """
    _check(kind, port)
    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with _start(kind, port) as running:
            _create_topics(running, topic or ())
            _log(f"the {running.kind} broker is ready, Ctrl-C stops it. Its address:")
            typer.echo(running.bootstrap_servers)
            _wait(parent if stop_with_parent else None)
    except KeyboardInterrupt:
        _log("stopped")
    except BrokerError as error:
        _log(str(error))
        raise typer.Exit(1) from error


def _check(kind: BrokerKind, port: int | None) -> None:
    if port is None:
        return
    if kind is BrokerKind.AUTO:
        raise typer.BadParameter(
            "with --kind auto no port can be chosen: the broker may run already",
            param_hint="--port",
        )
    if not is_free(port):
        raise typer.BadParameter(
            f"another process uses port {port}. Stop that process or choose another port; "
            "without --port, a free one is used",
            param_hint="--port",
        )


def _start(kind: BrokerKind, port: int | None) -> Broker:
    if kind is BrokerKind.AUTO:
        try:
            return find_broker()
        except NoBrokerFound as error:
            _log(f"{error}\nThe embedded broker is used instead.")
    if port is None and is_free(USUAL_PORT):
        port = USUAL_PORT
    elif port is None:
        _log(f"another process uses port {USUAL_PORT}, so this broker has another one")
        port = free_port()
    if kind is BrokerKind.APACHE:
        _log("starting Apache Kafka; the first start downloads it with Maven …")
        return ApacheKafka(port=port).start()
    return EmbeddedBroker(port=port).start()


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
