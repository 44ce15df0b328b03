"""The topics: how they should be set, made so, and checked.

The rules: deletion, never compaction (a job has many records under one key, and all count);
responses and callbacks are kept longer than the longest job, requests and commands longer than the
longest wait in the queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import confluent_kafka as ck
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from kafka_bridge.kafka.clients import ask, make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.failures import kafka_error, translate
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import ConfigurationError, TopicNotFound

ANSWER_SECONDS = 30.0
MARGIN = timedelta(days=1)
"""Kept beyond the longest job or wait, so that there is time to notice and to resume."""
DEAD_LETTER_RETENTION = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of the four topics of one service; a gateway that is called back has a fifth."""

    requests: str = default.REQUEST_TOPIC
    responses: str = default.RESPONSE_TOPIC
    control: str = default.CONTROL_TOPIC
    dead_letters: str = default.DEAD_LETTER_TOPIC
    callbacks: str | None = None

    def __iter__(self) -> Iterator[str]:
        yield from (self.requests, self.responses, self.control, self.dead_letters)
        if self.callbacks is not None:
            yield self.callbacks


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """How one topic should be. ``replication`` -1 is the broker's default."""

    name: str
    partitions: int
    replication: int
    retention: timedelta

    @property
    def retention_ms(self) -> int:
        """The retention in milliseconds."""
        return self.retention // timedelta(milliseconds=1)


def plan_topics(
    names: TopicNames,
    *,
    partitions: int = 6,
    replication: int = -1,
    longest_job: timedelta = timedelta(days=7),
    longest_wait: timedelta = timedelta(days=7),
) -> list[TopicPlan]:
    """Return how the topics should be for jobs and queue waits of the given lengths.

    The control topic has one partition: every worker reads all of it.

    :raises ConfigurationError: a number is not positive
    """
    if partitions < 1 or replication == 0 or replication < -1:
        raise ConfigurationError("partitions and replication must be at least 1")
    if min(longest_job, longest_wait) <= timedelta(0):
        raise ConfigurationError("the longest job and the longest wait must be longer than nothing")
    wait, job = longest_wait + MARGIN, longest_wait + longest_job + MARGIN
    plans = [
        TopicPlan(names.requests, partitions, replication, wait),
        TopicPlan(names.responses, partitions, replication, job),
        TopicPlan(names.control, 1, replication, wait),
        TopicPlan(names.dead_letters, 1, replication, DEAD_LETTER_RETENTION),
    ]
    if names.callbacks is not None:
        plans.append(TopicPlan(names.callbacks, partitions, replication, job))
    return plans


def broker_count(config: KafkaConfig, timeout: float = ANSWER_SECONDS) -> int:
    """Return how many brokers the cluster has.

    :raises AccessDenied: the brokers do not let this client in
    :raises KafkaError: none answered, or they refused
    """
    admin = make(AdminClient, config.admin())
    # Of one topic: a large cluster has tens of thousands. The brokers come with any answer.
    metadata = ask(
        admin,
        lambda seconds: admin.list_topics(default.REQUEST_TOPIC, timeout=seconds),
        doing="asking for the brokers",
        servers=config.bootstrap_servers,
        timeout=timeout,
    )
    return len(metadata.brokers)


def create_topics(config: KafkaConfig, plans: Iterable[TopicPlan]) -> dict[str, bool]:
    """Create what is missing and return, by topic, whether it was created just now.

    A topic that exists is left as it is: :func:`check_topics` says whether that will do.

    :raises KafkaError: the cluster refused or did not answer
    """
    new = [
        NewTopic(
            plan.name,
            num_partitions=plan.partitions,
            replication_factor=plan.replication,
            config={"cleanup.policy": "delete", "retention.ms": str(plan.retention_ms)},
        )
        for plan in plans
    ]
    admin = make(AdminClient, config.admin())  # must outlive the futures that it gives
    answers = admin.create_topics(new, request_timeout=ANSWER_SECONDS)
    return {name: _was_created(config, name, answer) for name, answer in answers.items()}


def _was_created(config: KafkaConfig, name: str, answer) -> bool:  # type: ignore[no-untyped-def]
    try:
        answer.result()
    except ck.KafkaException as error:
        if kafka_error(error).code() == ck.KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise translate(
            error, doing=f"creating topic {name!r}", servers=config.bootstrap_servers, topic=name
        ) from error
    return True


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What a topic is like. It loses no jobs where ``problems`` is empty."""

    name: str
    partitions: int = 0
    replication: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def check_topics(config: KafkaConfig, plans: Iterable[TopicPlan]) -> list[TopicReport]:
    """Compare the topics with the plan.

    :raises KafkaError: the cluster refused or did not answer
    """
    admin = make(AdminClient, config.admin())
    return [_check(admin, config, plan) for plan in plans]


def _check(admin: AdminClient, config: KafkaConfig, plan: TopicPlan) -> TopicReport:
    doing, servers = f"describing topic {plan.name!r}", config.bootstrap_servers
    try:
        metadata = ask(
            admin,
            lambda seconds: admin.list_topics(plan.name, timeout=seconds).topics[plan.name],
            doing=doing,
            servers=servers,
            topic=plan.name,
            timeout=ANSWER_SECONDS,
        )
        replicas = _replicas(metadata)
        settings = _settings(admin, plan.name)
    except ck.KafkaException as error:
        failure = translate(error, doing=doing, servers=servers, topic=plan.name)
        if isinstance(failure, TopicNotFound):
            return TopicReport(
                plan.name, problems=("it does not exist: run `kafka-bridge topics create`",)
            )
        raise failure from error
    return TopicReport(
        plan.name,
        len(replicas),
        min(replicas),
        settings,
        tuple(_problems(plan, settings)),
        tuple(_advice(min(replicas), settings)),
    )


def _replicas(metadata: TopicMetadata) -> list[int]:
    """Return how many copies each partition has."""
    if metadata.error is not None or not metadata.partitions:
        raise ck.KafkaException(
            metadata.error or ck.KafkaError(ck.KafkaError.UNKNOWN_TOPIC_OR_PART)
        )
    return [len(partition.replicas) for partition in metadata.partitions.values()]


def _settings(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (answer,) = admin.describe_configs([resource], request_timeout=ANSWER_SECONDS).values()
    return {name: entry.value for name, entry in answer.result().items()}


def _problems(plan: TopicPlan, settings: Mapping[str, str]) -> Iterable[str]:
    if settings["cleanup.policy"] != "delete":
        yield (
            f"cleanup.policy is {settings['cleanup.policy']!r}, must be 'delete': "
            "compaction removes events of jobs that still run"
        )
    retention = int(settings["retention.ms"])
    if 0 <= retention < plan.retention_ms:
        yield (
            f"retention.ms is {retention} ({timedelta(milliseconds=retention)}), "
            f"must be at least {plan.retention_ms} ({plan.retention})"
        )
    if int(settings.get("retention.bytes", "-1")) >= 0:
        yield "retention.bytes is set: a busy day removes records before their time"


def _advice(replication: int, settings: Mapping[str, str]) -> Iterable[str]:
    if replication < 3:
        yield f"replication factor {replication}: a lost broker loses jobs; 3 is usual"
    if replication >= 3 and int(settings.get("min.insync.replicas", "1")) < 2:
        yield "min.insync.replicas is 1: an acknowledged record may exist on one broker only; set 2"
