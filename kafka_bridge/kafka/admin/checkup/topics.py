"""Whether a topic exists, and whether its settings lose jobs."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka.admin import AdminClient

from kafka_bridge.findings import Finding, error, ok, warning
from kafka_bridge.kafka.admin.retention import in_words
from kafka_bridge.kafka.admin.topics import TopicPlan, TopicReport, check_topics
from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.topic_metadata import partition_count
from kafka_bridge.protocol.errors import AccessDenied, KafkaBridgeError

SHORTER = "If your jobs and waits are shorter, say so with --longest-job and --longest-wait."


def topic(config: KafkaConfig, plan: TopicPlan, seconds: float) -> Iterator[Finding]:
    """Yield what is wrong with a topic, or what it is like.

    :param plan: how it should be
    """
    try:
        (report,) = check_topics(config, [plan], timeout=seconds / 3)
    except AccessDenied as refusal:
        yield _partly_seen(config, plan.name, refusal, seconds / 3)
        return
    if not report.exists:
        yield error("; ".join(report.problems), "Or correct the name of the topic.")
        return
    for text in report.problems:
        yield error(text, _change(config, plan, text))
    for text in (*report.unsafe, *report.advice):
        yield warning(text, "`kafka-bridge topics check` has options for what is intended.")
    if not report.problems:
        yield ok(_description(report))


def exists(config: KafkaConfig, plan: TopicPlan, seconds: float) -> Iterator[Finding]:
    """Yield whether a topic exists; for brokers whose topics have no settings."""
    count = _partitions(config, plan.name, seconds / 2)
    yield ok(f"{count} partition{'' if count == 1 else 's'}")


def _partitions(config: KafkaConfig, name: str, seconds: float) -> int:
    admin = make(AdminClient, config.admin())
    return partition_count(admin, name, config.bootstrap_servers, seconds)


def _partly_seen(config: KafkaConfig, name: str, refusal: AccessDenied, seconds: float) -> Finding:
    """Return what is known of a topic whose description was refused."""
    try:
        count = _partitions(config, name, seconds)
    except KafkaBridgeError:
        return error(str(refusal))
    return warning(
        f"it exists, with {count} partition{'' if count == 1 else 's'}; this client may not see "
        "its settings (DescribeConfigs), and does not need to",
        "Run `kafka-bridge topics check` once as an operator.",
    )


def _change(config: KafkaConfig, plan: TopicPlan, problem: str) -> str:
    name = problem.partition(" ")[0]
    command = f"kafka-configs --bootstrap-server {config.bootstrap_servers} --alter --topic"
    if name in plan.settings:
        change = f"--add-config {name}={plan.settings[name]}"
    else:  # a limit that the plan does not have
        change = f"--delete-config {name}"
    advice = f"An administrator can change it: {command} {plan.name} {change}."
    return f"{advice} {SHORTER}" if name == "retention.ms" else advice


def _description(report: TopicReport) -> str:
    partitions = f"{report.partitions} partition{'' if report.partitions == 1 else 's'}"
    replicas = f"{report.replication} replica{'' if report.replication == 1 else 's'}"
    settings = report.settings
    return (
        f"{partitions}, {replicas}, kept {in_words(int(settings['retention.ms']))}, "
        f"cleanup.policy {settings['cleanup.policy']}, "
        f"compression.type {settings.get('compression.type', 'unknown')}, "
        f"timestamps {settings.get('message.timestamp.type', 'unknown')}"
    )
