"""``kafka-bridge broker``: a Kafka broker in the foreground, for demos and for tests."""

from __future__ import annotations

import os
import signal
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_bridge.testing import Broker

PARENT_POLL_INTERVAL = 0.2
"""Seconds between two looks whether the parent is still there."""


class BrokerKind(StrEnum):
    """Which broker to run."""

    EMBEDDED = "embedded"
    APACHE = "apache"
    AUTO = "auto"


def broker(
    kind: Annotated[
        BrokerKind,
        typer.Option(
            help="embedded: librdkafka's mock cluster, nothing to install. apache: Apache Kafka on "
            "a JDK 17+. auto: the first real one there is, else embedded."
        ),
    ] = BrokerKind.EMBEDDED,
    topic: Annotated[
        list[str] | None, typer.Option(help="A topic to create; may be given several times.")
    ] = None,
    stop_with_parent: Annotated[
        bool, typer.Option(help="Stop when the process that started this one is gone.")
    ] = True,
) -> None:
    """Run a Kafka broker until Ctrl-C, with data that are gone afterwards.

    The only line on standard output is its address, as host:port, once it is ready.
    """
    from kafka_bridge.testing import BrokerError

    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with _start(kind) as running:
            _create_topics(running, topic or ())
            _announce(running)
            _wait(parent if stop_with_parent else None)
    except KeyboardInterrupt:
        _say("stopped.")
    except BrokerError as error:
        _say(str(error))
        raise typer.Exit(1) from error


def _start(kind: BrokerKind) -> Broker:
    from kafka_bridge.testing import ApacheKafka, EmbeddedBroker, NoBrokerFound, find_broker

    if kind is BrokerKind.EMBEDDED:
        return EmbeddedBroker().start()
    if kind is BrokerKind.APACHE:
        _say("starting Apache Kafka; the first time, Maven gets its jars …")
        return ApacheKafka().start()
    try:
        return find_broker()
    except NoBrokerFound as error:
        _say(f"{error}\nso this is the embedded one.")
        return EmbeddedBroker().start()


def _create_topics(running: Broker, names: Iterable[str]) -> None:
    from kafka_bridge.testing import TopicExists

    for name in names:
        try:
            running.create_topic(name)
        except TopicExists as error:
            _say(f"{error}; it stays as it is.")


def _announce(running: Broker) -> None:
    _say(f"the {running.kind} broker is ready; Ctrl-C stops it. Its address:")
    typer.echo(running.bootstrap_servers)


def _wait(parent: int | None) -> None:
    """Return when the process no longer has this parent; never where None."""
    while parent is None or os.getppid() == parent:
        time.sleep(PARENT_POLL_INTERVAL)
    _say("its parent is gone: stopping.")


def _say(text: str) -> None:
    typer.echo(f"kafka-bridge broker: {text}", err=True)
