"""``kafka-bridge topics create | check | acls``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.durations import LongestWait, duration
from kafka_bridge.cli.tables import print_rows
from kafka_bridge.kafka.admin.acls import airflow_acls, operator_acls, worker_acls
from kafka_bridge.kafka.admin.retention import in_words
from kafka_bridge.kafka.admin.topics import (
    Copies,
    TopicNames,
    TopicPlan,
    TopicReport,
    check_topics,
    create_embedded_topics,
    create_topics,
    describe_cluster,
    plan_topics,
)
from kafka_bridge.kafka.config import (
    ENV_READER_PREFIX,
    GROUP_PREFIX,
    MESSAGE_BYTES,
    UNCOMPRESSED,
    KafkaConfig,
)
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import TopicMisconfigured

NEW_TOPIC_SECONDS = 15.0
"""The time that all brokers have to learn of a topic that was created."""
EMBEDDED = (
    "{} is an embedded broker (librdkafka's mock cluster): its topics have 4 partitions and no "
    "settings, and its data are gone when it stops"
)

app = App()


def _principal(text: str) -> str:
    kind, _, name = text.partition(":")
    if not kind or not name:
        raise typer.BadParameter(f"{text!r} is not a Kafka principal. Example: User:name")
    return text


def _topic(option: str, kind: str) -> Any:
    """Return the option for a topic; its variable is that of workers."""
    return typer.Option(
        option,
        envvar=f"KAFKA_BRIDGE_{kind.upper().replace('-', '_')}_TOPIC",
        metavar="TOPIC",
        help=f"The {kind} topic.",
    )


Requests = Annotated[str, _topic("--requests", "request")]
Responses = Annotated[str, _topic("--responses", "response")]
Control = Annotated[str, _topic("--control", "control")]
DeadLetters = Annotated[str, _topic("--dead-letters", "dead-letter")]
Callbacks = Annotated[
    str | None,
    typer.Option(
        "--callbacks", metavar="TOPIC", help="The callback topic of a gateway in callback mode."
    ),
]
Partitions = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="The partitions of the request, response and callback topics: the maximum number of "
        "workers that share the jobs.",
    ),
]
Replication = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="The replication factor, by default 3; -1 is the brokers' default. If the cluster "
        "has fewer brokers, `create` uses their number and exits with code 1, unless the option "
        "is set.",
    ),
]
MinInSync = Annotated[
    int | None,
    typer.Option(
        "--min-insync-replicas",
        min=1,
        metavar="N",
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
        metavar="TYPE",
        help="The topics' compression.type. With any value except 'uncompressed', a small batch "
        "can decompress to any size.",
    ),
]
LongestJob = Annotated[
    timedelta,
    typer.Option(
        parser=duration, metavar="DURATION", help="The longest time that a job runs, e.g. 12h."
    ),
]
AirflowPrincipal = Annotated[
    str,
    typer.Option(parser=_principal, metavar="PRINCIPAL", help="The Kafka principal of Airflow."),
]
WorkerPrincipal = Annotated[
    str,
    typer.Option(
        parser=_principal, metavar="PRINCIPAL", help="The Kafka principal of the workers."
    ),
]
OperatorPrincipal = Annotated[
    str,
    typer.Option(
        parser=_principal, metavar="PRINCIPAL", help="The Kafka principal of this command line."
    ),
]
Group = Annotated[str, typer.Option(metavar="GROUP", help="The consumer group of the workers.")]
ReaderGroupPrefix = Annotated[
    str,
    typer.Option(
        envvar=ENV_READER_PREFIX,
        metavar="PREFIX",
        help="The prefix of the readers' group ids. Airflow and the workers must use the same.",
    ),
]
CommandConfig = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A file with the client properties of an administrator, passed to kafka-acls.",
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
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Create missing topics, with retention for the longest job and the longest wait.

    Each partition has three replicas if the cluster has three brokers. The exit code is 1 if a
    topic is not safe, unless an option asked for it.
    """
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
    config = kafka_config(bootstrap_servers, config_file)
    cluster = describe_cluster(config)
    if cluster.is_embedded:
        _print_created(create_embedded_topics(config, names))
        typer.echo(f"{EMBEDDED.format(config.bootstrap_servers)}.", err=True)
        return
    copies = Copies.chosen(replication, min_in_sync, cluster.brokers)
    plans = [dataclasses.replace(plan, copies=copies) for plan in required]
    _print_created(create_topics(config, plans))
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
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Check the settings of the topics. The exit code is 1 if a topic could lose jobs."""
    plans = plan_topics(
        TopicNames(requests, responses, control, dead_letters, callbacks),
        copies=Copies.required(replication, min_in_sync),
        longest_job=longest_job,
        longest_wait=longest_wait,
        max_message_bytes=max_message_bytes,
    )
    config = kafka_config(bootstrap_servers, config_file)
    if describe_cluster(config).is_embedded:
        raise TopicMisconfigured(
            f"{EMBEDDED.format(config.bootstrap_servers)}. There is nothing to check. For "
            "jobs that must not be lost, use Apache Kafka"
        )
    _report(config, plans)


def _print_created(topics: Mapping[str, bool]) -> None:
    for name, created in topics.items():
        typer.echo(f"{name}: {'created' if created else 'exists, not changed'}")


def _report(config: KafkaConfig, plans: Iterable[TopicPlan], patience: float = 0.0) -> None:
    reports = check_topics(config, plans, patience=patience)
    _print(reports)
    bad = [report.name for report in reports if report.problems or report.unsafe]
    if bad:
        raise TopicMisconfigured(f"{', '.join(bad)} could lose jobs; see above")


def _print(reports: Sequence[TopicReport]) -> None:
    """Print a row for each topic, then each finding once, with the topics that have it."""
    findings: dict[str, list[str]] = {}
    for report in reports:
        for text in _findings(report):
            findings.setdefault(text, []).append(report.name)
    names = ("topic", "partitions", "replication", "retention", "check")
    print_rows(names, [_row(report) for report in reports])
    for text, topics in findings.items():
        typer.echo(f"{text[0]} {', '.join(topics)}: {text[2:]}")


def _row(report: TopicReport) -> tuple[str, ...]:
    check = "✗" if report.problems or report.unsafe else "!" if report.advice else "✓"
    if not report.exists:
        return report.name, "–", "–", "–", check
    retention = in_words(int(report.settings["retention.ms"]))
    return report.name, str(report.partitions), str(report.replication), retention, check


def _findings(report: TopicReport) -> Iterator[str]:
    yield from (f"✗ {text}" for text in (*report.problems, *report.unsafe))
    yield from (f"! {text}" for text in report.advice)


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
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
    command_config: CommandConfig = None,
) -> None:
    """Print the minimal ACLs of Airflow, the workers and the operators, as kafka-acls commands.

    The commands of each side follow a comment with its name, and can be run on their own.
    """
    servers = kafka_config(bootstrap_servers, config_file).bootstrap_servers
    names = TopicNames(requests, responses, control, dead_letters, callbacks)
    prefix = reader_group_prefix
    for side, needed in (
        ("Airflow: workers and triggerers", airflow_acls(names, airflow, group, prefix)),
        ("The service's workers or gateways", worker_acls(names, worker, group, prefix)),
        ("Operators: this command line", operator_acls(names, operator, prefix)),
    ):
        typer.echo(f"# {side}")
        for acl in needed:
            typer.echo(f"{acl.command(servers, command_config)}   # {acl.why}")
