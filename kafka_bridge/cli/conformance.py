"""``kafka-bridge conformance``: tests a worker in any language."""

from __future__ import annotations

import json
import logging
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.conformance.kit import OwnBroker, Plan, own_broker, selected
from kafka_bridge.conformance.patience import Patience
from kafka_bridge.conformance.probe import ENCODINGS, LEVELS
from kafka_bridge.conformance.reports import junit
from kafka_bridge.conformance.reports.documents import run_document
from kafka_bridge.conformance.reports.terminal import print_counts, print_levels, print_result
from kafka_bridge.conformance.sequence import Target
from kafka_bridge.conformance.target import RunningWorker, StartedWorker
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol import topics
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.testing.brokers.base import Broker

app = App()

BELOW = 10
"""Added to the level that was reached, if it is lower than the wanted one: the exit code."""


LEAST_PATIENCE = 0.5
"""With less, times would be shorter than the intervals at which clients look."""


def _encodings(text: str) -> tuple[Encoding, ...]:
    known = {each.value: each for each in ENCODINGS}
    names = [each.strip() for each in text.split(",")]
    if not set(names) <= known.keys():
        raise typer.BadParameter(
            f"expected some of {', '.join(known)}, not {text!r}", param_hint="--encoding"
        )
    return tuple(known[each] for each in dict.fromkeys(names))


def _factor(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not LEAST_PATIENCE <= number < math.inf:
        raise typer.BadParameter(f"expected a number, at least {LEAST_PATIENCE:g}, not {text!r}")
    return number


@app.command()
def conformance(
    command: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="How the worker is started. No shell is used. It gets addresses, topics and group "
            "in variables.",
        ),
    ] = None,
    running: Annotated[
        bool,
        typer.Option(
            "--running",
            help="Test a worker that runs already; probes that need to start it are skipped.",
        ),
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
    broker: Annotated[
        OwnBroker | None,
        typer.Option(
            metavar="KIND",
            help="Start a broker for the test. embedded, the default without "
            "--bootstrap-servers: the mock cluster of librdkafka. apache: Apache Kafka, needs a "
            "JDK 17 or newer.",
        ),
    ] = None,
    level: Annotated[
        int,
        typer.Option(
            min=LEVELS[0],
            max=LEVELS[-1],
            metavar="LEVEL",
            help="The highest level to test: 1 to 3.",
        ),
    ] = LEVELS[-1],
    encoding: Annotated[
        str, typer.Option(metavar="ENCODING,…", help="The encodings to test.")
    ] = ",".join(ENCODINGS),
    probe: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A probe to run. Can be repeated. By default all."),
    ] = None,
    list_probes: Annotated[
        bool, typer.Option("--list", help="Print the probes and their rules, and exit.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(
            parser=_factor,
            metavar="FACTOR",
            help="Multiplies all times, for slow machines: 3 waits three times as long.",
        ),
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, for machines.")
    ] = False,
    junit_file: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Also write JUnit XML to a file, for CI."),
    ] = None,
    request_topic: Annotated[
        str, typer.Option(envvar="KAFKA_BRIDGE_REQUEST_TOPIC", help="Of a running worker.")
    ] = topics.REQUEST_TOPIC,
    response_topic: Annotated[
        str, typer.Option(envvar="KAFKA_BRIDGE_RESPONSE_TOPIC", help="Of a running worker.")
    ] = topics.RESPONSE_TOPIC,
    control_topic: Annotated[
        str, typer.Option(envvar="KAFKA_BRIDGE_CONTROL_TOPIC", help="Of a running worker.")
    ] = topics.CONTROL_TOPIC,
    dead_letter_topic: Annotated[
        str, typer.Option(envvar="KAFKA_BRIDGE_DEAD_LETTER_TOPIC", help="Of a running worker.")
    ] = topics.DEAD_LETTER_TOPIC,
    group_id: Annotated[
        str, typer.Option(envvar="KAFKA_BRIDGE_GROUP_ID", help="Of a running worker.")
    ] = "",
) -> None:
    """Test whether a worker, in any language, follows the protocol.

    The exit code is 0 if the worker reaches the level in each encoding. Otherwise it is 10 plus the
    level that it reaches: 10, 11 or 12. It is 1 if the test could not be made.
    """
    if list_probes:
        _print_probes(level, probe or [])
        return
    names = TopicNames(request_topic, response_topic, control_topic, dead_letter_topic)
    target = _target(command, RunningWorker(names, group_id) if running else None)
    plan = Plan(level, _encodings(encoding), tuple(probe or ()))
    selected(level, plan.names)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=as_json)
    results = []
    with _quiet(), _broker(bootstrap_servers, config_file, broker, target) as (config, own):
        for each in plan.results(target, config, own, Patience(patience)):
            results.append(each)
            print_result(console, each)
    levels = plan.levels(results)
    print_counts(console, results)
    if not plan.names:  # some probes of a level do not tell that it is reached
        print_levels(console, results, levels, level)
    if as_json:
        typer.echo(json.dumps(run_document(results, levels), indent=2))
    if junit_file is not None:
        junit.write(results, junit_file)
    if (reached := min(levels.values())) < level:
        raise typer.Exit(BELOW + reached)


def _target(command: str | None, running: RunningWorker | None) -> Target:
    if (command is None) == (running is None):
        raise typer.BadParameter(
            "say what is tested: --command with the command that starts the worker, or --running",
            param_hint="--command",
        )
    if running is None:
        return StartedWorker.of(command or "")
    if not running.group:
        raise typer.BadParameter(
            "set it to the consumer group of the running worker", param_hint="--group-id"
        )
    return running


@contextmanager
def _broker(
    servers: str | None, file: Path | None, kind: OwnBroker | None, target: Target
) -> Iterator[tuple[KafkaConfig, Broker | None]]:
    """Give the broker that was asked for; by default the embedded one.

    :raises ConfigurationError: a running worker is on a broker that was not named
    """
    is_named = servers is not None or file is not None
    if kind is None and (is_named or not target.is_started):
        yield kafka_config(servers, file), None
        return
    with own_broker(kind or OwnBroker.EMBEDDED) as (config, own):
        yield config, own


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the Kafka client's lines about brokers that come and go out of the report."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _print_probes(level: int, names: list[str]) -> None:
    for each in selected(level, names):
        encodings = "" if each.encodings == ENCODINGS else f" ({', '.join(each.encodings)} only)"
        typer.echo(f"{each.id}{encodings}: {each.rule}")
    sys.stdout.flush()
