"""``kafka-bridge topics create | check | acls``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kafka_bridge.cli.durations import duration
from kafka_bridge.kafka.admin.acls import airflow_acls, operator_acls, worker_acls
from kafka_bridge.kafka.admin.topics import (
    Copies,
    TopicNames,
    TopicPlan,
    TopicReport,
    broker_count,
    check_topics,
    create_topics,
    plan_topics,
)
from kafka_bridge.kafka.config import GROUP_PREFIX, MESSAGE_BYTES, UNCOMPRESSED, KafkaConfig
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import ConfigurationError, TopicMisconfigured

NEW_TOPIC_SECONDS = 15.0
"""The time that all brokers have to learn of a topic that was created."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


def _principal(text: str) -> str:
    kind, _, name = text.partition(":")
    if not kind or not name:
        raise typer.BadParameter(f"{text!r} is not a Kafka principal. Example: User:name")
    return text


Requests = Annotated[str, typer.Option("--requests", help="The request topic.")]
Responses = Annotated[str, typer.Option("--responses", help="The response topic.")]
Control = Annotated[str, typer.Option("--control", help="The control topic.")]
DeadLetters = Annotated[str, typer.Option("--dead-letters", help="The dead-letter topic.")]
Callbacks = Annotated[
    str | None,
    typer.Option("--callbacks", help="The callback topic of a gateway in callback mode."),
]
Partitions = Annotated[
    int,
    typer.Option(
        min=1,
        help="The partitions of the request, response and callback topics: the maximum number of "
        "workers that share the jobs.",
    ),
]
Replication = Annotated[
    int | None,
    typer.Option(
        help="The replication factor, by default 3; -1 is the brokers' default. If the cluster has "
        "fewer brokers, `create` uses their number and exits with code 1, unless the option is set."
    ),
]
MinInSync = Annotated[
    int | None,
    typer.Option(
        "--min-insync-replicas",
        min=1,
        help="The replicas that must have a record before it is acknowledged; by default 2 of 3.",
    ),
]
MaxMessage = Annotated[
    int,
    typer.Option(
        "--max-message-bytes", min=1, metavar="BYTES", help="The topics' max.message.bytes."
    ),
]
Compression = Annotated[
    str,
    typer.Option(
        help="The topics' compression.type. With any value except 'uncompressed', a small batch "
        "can decompress to any size."
    ),
]
LongestJob = Annotated[
    timedelta,
    typer.Option(
        parser=duration, metavar="DURATION", help="The longest time that a job runs, e.g. 12h."
    ),
]
LongestWait = Annotated[
    timedelta,
    typer.Option(
        parser=duration, metavar="DURATION", help="The longest time that a job is queued, e.g. 7d."
    ),
]
AirflowPrincipal = Annotated[
    str, typer.Option(parser=_principal, help="The Kafka principal of Airflow.")
]
WorkerPrincipal = Annotated[
    str, typer.Option(parser=_principal, help="The Kafka principal of the workers.")
]
OperatorPrincipal = Annotated[
    str, typer.Option(parser=_principal, help="The Kafka principal of this command line.")
]
Group = Annotated[str, typer.Option(help="The consumer group of the workers.")]
ReaderGroupPrefix = Annotated[
    str,
    typer.Option(
        envvar="KAFKA_BRIDGE_READER_GROUP_PREFIX",
        help="The prefix of the readers' group ids. Airflow and the workers must use the same.",
    ),
]
BootstrapServer = Annotated[
    str | None,
    typer.Option(envvar="KAFKA_BRIDGE_BOOTSTRAP_SERVERS", help="The cluster of the ACLs."),
]
CommandConfig = Annotated[
    str | None,
    typer.Option(
        help="A file with the client properties of an administrator, passed to kafka-acls."
    ),
]


@app.command()
def create(
    requests: Requests = default.REQUEST_TOPIC,
    responses: Responses = default.RESPONSE_TOPIC,
    control: Control = default.CONTROL_TOPIC,
    dead_letters: DeadLetters = default.DEAD_LETTER_TOPIC,
    callbacks: Callbacks = None,
    partitions: Partitions = 6,
    replication: Replication = None,
    min_in_sync: MinInSync = None,
    max_message_bytes: MaxMessage = MESSAGE_BYTES,
    compression_type: Compression = UNCOMPRESSED,
    longest_job: LongestJob = "7d",  # type: ignore[assignment]
    longest_wait: LongestWait = "7d",  # type: ignore[assignment]
) -> None:
    """Create missing topics, with retention for the longest job and the longest wait.

    Each partition has three replicas if the cluster has three brokers. The exit code is 1 if a
    topic is not safe, unless an option asked for it. Kafka is configured with environment
    variables, as for `kafka-bridge worker run`.
    """
    required = plan_topics(
        TopicNames(requests, responses, control, dead_letters, callbacks),
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
        typer.echo(f"{name}: {'created' if created else 'exists, not changed'}")
    _report(config, required, patience=NEW_TOPIC_SECONDS)


@app.command()
def check(
    requests: Requests = default.REQUEST_TOPIC,
    responses: Responses = default.RESPONSE_TOPIC,
    control: Control = default.CONTROL_TOPIC,
    dead_letters: DeadLetters = default.DEAD_LETTER_TOPIC,
    callbacks: Callbacks = None,
    replication: Replication = None,
    min_in_sync: MinInSync = None,
    max_message_bytes: MaxMessage = MESSAGE_BYTES,
    longest_job: LongestJob = "7d",  # type: ignore[assignment]
    longest_wait: LongestWait = "7d",  # type: ignore[assignment]
) -> None:
    """Check the settings of the topics. The exit code is 1 if a topic could lose jobs."""
    plans = plan_topics(
        TopicNames(requests, responses, control, dead_letters, callbacks),
        copies=Copies.required(replication, min_in_sync),
        longest_job=longest_job,
        longest_wait=longest_wait,
        max_message_bytes=max_message_bytes,
    )
    _report(KafkaConfig.from_env(), plans)


def _report(config: KafkaConfig, plans: Iterable[TopicPlan], patience: float = 0.0) -> None:
    reports = check_topics(config, plans, patience=patience)
    _print(reports)
    bad = [report.name for report in reports if report.problems]
    if bad:
        raise TopicMisconfigured(f"{', '.join(bad)} could lose jobs; see the table")


def _print(reports: Iterable[TopicReport]) -> None:
    table = Table("topic", "partitions", "replication", "retention", "check")
    for report in reports:
        retention = int(report.settings.get("retention.ms", "0"))
        findings = [
            *(f"✗ {text}" for text in report.problems),
            *(f"! {text}" for text in report.advice),
        ]
        table.add_row(
            report.name,
            str(report.partitions),
            str(report.replication),
            "forever" if retention < 0 else str(timedelta(milliseconds=retention)),
            "\n".join(findings) or "✓",
        )
    Console().print(table)


@app.command()
def acls(
    requests: Requests = default.REQUEST_TOPIC,
    responses: Responses = default.RESPONSE_TOPIC,
    control: Control = default.CONTROL_TOPIC,
    dead_letters: DeadLetters = default.DEAD_LETTER_TOPIC,
    callbacks: Callbacks = None,
    airflow: AirflowPrincipal = "User:airflow",
    worker: WorkerPrincipal = "User:worker",
    operator: OperatorPrincipal = "User:operator",
    group: Group = "my-service",
    reader_group_prefix: ReaderGroupPrefix = GROUP_PREFIX,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
) -> None:
    """Print the minimal ACLs of Airflow, the workers and the operators, as kafka-acls commands.

    The commands of each side follow a comment with its name, and can be run on their own.
    """
    if not bootstrap_server:
        raise ConfigurationError(
            "no cluster is set: set KAFKA_BRIDGE_BOOTSTRAP_SERVERS or --bootstrap-server"
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
