"""``kafka-bridge topics create | check | acls``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from kafka_bridge.cli.durations import duration
from kafka_bridge.kafka.config import GROUP_PREFIX, MESSAGE_BYTES, UNCOMPRESSED
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import ConfigurationError, TopicMisconfigured

if TYPE_CHECKING:
    from kafka_bridge.kafka.admin.topics import TopicPlan, TopicReport
    from kafka_bridge.kafka.config import KafkaConfig

NEW_TOPIC_SECONDS = 15.0
"""How long all brokers may take to know a topic that was created."""

topics = typer.Typer(help="Create and check the topics of a service.", no_args_is_help=True)

Requests = Annotated[str, typer.Option("--requests", help="The request topic.")]
Responses = Annotated[str, typer.Option("--responses", help="The response topic.")]
Control = Annotated[str, typer.Option("--control", help="The control topic.")]
DeadLetters = Annotated[str, typer.Option("--dead-letters", help="The dead-letter topic.")]
Callbacks = Annotated[
    str | None,
    typer.Option("--callbacks", help="The topic of callbacks, where a gateway is called back."),
]
Replication = Annotated[
    int | None,
    typer.Option(
        help="Copies of each partition, -1 for the brokers' default. 3 unless set; `create` makes "
        "fewer where the cluster has fewer brokers, and ends with 1 unless they were asked for."
    ),
]
MinInSync = Annotated[
    int | None,
    typer.Option(
        "--min-insync-replicas",
        min=1,
        help="Copies that must have a record before it is acknowledged: 2 of 3 unless set.",
    ),
]
MaxMessage = Annotated[
    int,
    typer.Option(
        "--max-message-bytes", min=1, metavar="BYTES", help="The topics' max.message.bytes."
    ),
]
Longest = Annotated[timedelta, typer.Option(parser=duration, metavar="DURATION")]


@topics.command()
def create(
    requests: Requests = default.REQUEST_TOPIC,
    responses: Responses = default.RESPONSE_TOPIC,
    control: Control = default.CONTROL_TOPIC,
    dead_letters: DeadLetters = default.DEAD_LETTER_TOPIC,
    callbacks: Callbacks = None,
    partitions: Annotated[
        int,
        typer.Option(
            min=1, help="Of requests, responses and callbacks: the most workers at a time."
        ),
    ] = 6,
    replication: Replication = None,
    min_in_sync: MinInSync = None,
    max_message_bytes: MaxMessage = MESSAGE_BYTES,
    compression_type: Annotated[
        str,
        typer.Option(
            help="The topics' compression.type. Anything but 'uncompressed' lets batches in that "
            "unpack to any size."
        ),
    ] = UNCOMPRESSED,
    longest_job: Longest = "7d",  # type: ignore[assignment]
    longest_wait: Longest = "7d",  # type: ignore[assignment]
) -> None:
    """Create the topics that are missing, with retention for the longest job and queue wait.

    They get three copies where the cluster has three brokers. Exit code 1 where a topic is unsafe,
    unless that was asked for. Kafka is configured by the environment, as for
    `kafka-bridge worker run`.
    """
    from kafka_bridge.kafka.admin.topics import (
        Copies,
        TopicNames,
        broker_count,
        create_topics,
        plan_topics,
    )
    from kafka_bridge.kafka.config import KafkaConfig

    names = TopicNames(requests, responses, control, dead_letters, callbacks)
    required = plan_topics(
        names,
        partitions=partitions,
        copies=Copies.required(replication, min_in_sync),
        longest_job=longest_job,
        longest_wait=longest_wait,
        max_message_bytes=max_message_bytes,
        compression=compression_type,
    )
    config = KafkaConfig.from_env()
    copies = Copies.chosen(replication, min_in_sync, broker_count(config))
    plans = [dataclasses.replace(plan, copies=copies) for plan in required]
    for name, created in create_topics(config, plans).items():
        typer.echo(f"{name}: {'created' if created else 'exists, left as it is'}")
    _report(config, required, patience=NEW_TOPIC_SECONDS)


@topics.command()
def check(
    requests: Requests = default.REQUEST_TOPIC,
    responses: Responses = default.RESPONSE_TOPIC,
    control: Control = default.CONTROL_TOPIC,
    dead_letters: DeadLetters = default.DEAD_LETTER_TOPIC,
    callbacks: Callbacks = None,
    replication: Replication = None,
    min_in_sync: MinInSync = None,
    max_message_bytes: MaxMessage = MESSAGE_BYTES,
    longest_job: Longest = "7d",  # type: ignore[assignment]
    longest_wait: Longest = "7d",  # type: ignore[assignment]
) -> None:
    """List for each topic what would lose jobs; exit code 1 if there is anything."""
    from kafka_bridge.kafka.admin.topics import Copies, TopicNames, plan_topics
    from kafka_bridge.kafka.config import KafkaConfig

    names = TopicNames(requests, responses, control, dead_letters, callbacks)
    plans = plan_topics(
        names,
        copies=Copies.required(replication, min_in_sync),
        longest_job=longest_job,
        longest_wait=longest_wait,
        max_message_bytes=max_message_bytes,
    )
    _report(KafkaConfig.from_env(), plans)


def _report(config: KafkaConfig, plans: Iterable[TopicPlan], patience: float = 0.0) -> None:
    from kafka_bridge.kafka.admin.topics import check_topics

    reports = check_topics(config, plans, patience=patience)
    _print(reports)
    bad = [report.name for report in reports if report.problems]
    if bad:
        raise TopicMisconfigured(f"{', '.join(bad)} would lose jobs; see above")


def _print(reports: Iterable[TopicReport]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "partitions", "replication", "retention", "verdict")
    for report in reports:
        retention = int(report.settings.get("retention.ms", "0"))
        verdict = [
            *(f"✗ {text}" for text in report.problems),
            *(f"! {text}" for text in report.advice),
        ]
        table.add_row(
            report.name,
            str(report.partitions),
            str(report.replication),
            "for ever" if retention < 0 else str(timedelta(milliseconds=retention)),
            "\n".join(verdict) or "✓",
        )
    Console().print(table)


def _principal(text: str) -> str:
    kind, _, name = text.partition(":")
    if not kind or not name:
        raise typer.BadParameter(f"{text!r} is not a Kafka principal: write User:name")
    return text


@topics.command()
def acls(
    requests: Requests = default.REQUEST_TOPIC,
    responses: Responses = default.RESPONSE_TOPIC,
    control: Control = default.CONTROL_TOPIC,
    dead_letters: DeadLetters = default.DEAD_LETTER_TOPIC,
    callbacks: Callbacks = None,
    airflow: Annotated[
        str, typer.Option(parser=_principal, help="Airflow's Kafka principal.")
    ] = "User:airflow",
    worker: Annotated[
        str, typer.Option(parser=_principal, help="The workers' Kafka principal.")
    ] = "User:worker",
    operator: Annotated[
        str, typer.Option(parser=_principal, help="The principal that runs this command line.")
    ] = "User:operator",
    group: Annotated[str, typer.Option(help="The workers' consumer group.")] = "my-service",
    reader_group_prefix: Annotated[
        str,
        typer.Option(
            envvar="KAFKA_BRIDGE_READER_GROUP_PREFIX",
            help="How the groups of readers begin; set the same where Airflow and workers run.",
        ),
    ] = GROUP_PREFIX,
    bootstrap_server: Annotated[
        str | None,
        typer.Option(envvar="KAFKA_BRIDGE_BOOTSTRAP_SERVERS", help="The cluster to grant them on."),
    ] = None,
    command_config: Annotated[
        str | None,
        typer.Option(help="A file with an administrator's client properties, for kafka-acls."),
    ] = None,
) -> None:
    """Print the ACLs that each side needs and no more, as kafka-acls commands for a shell.

    Each side can be granted them by itself: they stand under a line with its name.
    """
    from kafka_bridge.kafka.admin.acls import airflow_acls, operator_acls, worker_acls
    from kafka_bridge.kafka.admin.topics import TopicNames

    if not bootstrap_server:
        raise ConfigurationError(
            "which cluster? Set KAFKA_BRIDGE_BOOTSTRAP_SERVERS or --bootstrap-server"
        )
    names = TopicNames(requests, responses, control, dead_letters, callbacks)
    prefix = reader_group_prefix
    for side, needed in (
        ("Airflow: workers and triggerers", airflow_acls(names, airflow, group, prefix)),
        ("The service's workers or gateways", worker_acls(names, worker, group, prefix)),
        ("Operators: this command line", operator_acls(names, operator, prefix)),
    ):
        typer.echo(f"# {side}")
        for acl in needed:
            typer.echo(f"{acl.command(bootstrap_server, command_config)}   # {acl.why}")
