"""Plan, create and check the topics.

The rules: deletion, never compaction (a job has many records under one key, and all count);
responses and callbacks are kept longer than the longest job, requests and commands longer than the
longest wait in the queue; three copies, of which two must have a record; and the broker stores
records uncompressed, because then it refuses those that would unpack to more than a message may
have (docs/decisions/0029-safe-topics.md).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import confluent_kafka as ck
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
    TopicMetadata,
)

from kafka_bridge.kafka.admin.retention import in_words
from kafka_bridge.kafka.clients import ask, make
from kafka_bridge.kafka.config import MESSAGE_BYTES, UNCOMPRESSED, KafkaConfig
from kafka_bridge.kafka.error_translation import kafka_error, translate
from kafka_bridge.kafka.topic_metadata import topic_settings
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import ConfigurationError, TopicNotFound

ANSWER_SECONDS = 30.0
RETRY_SECONDS = 0.2
MARGIN = timedelta(days=1)
"""Kept beyond the longest job or wait, so that there is time to notice and to resume."""
DEAD_LETTER_RETENTION = timedelta(days=30)
_MOCK_CLUSTER = "mockCluster"
"""How the id of librdkafka's mock cluster begins."""


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
class Copies:
    """How many copies each partition has, and how many must have a record that is acknowledged.

    ``replication`` -1 is the brokers' default; ``min_in_sync`` None is, too.
    """

    replication: int = 3
    min_in_sync: int | None = 2

    def __post_init__(self) -> None:
        if self.replication == 0 or self.replication < -1:
            raise ConfigurationError("replication must be at least 1, or -1: the brokers' default")
        if self.min_in_sync is not None and self.min_in_sync < 1:
            raise ConfigurationError("min.insync.replicas must be at least 1")

    @classmethod
    def chosen(cls, replication: int | None, min_in_sync: int | None, brokers: int) -> Copies:
        """Return what to create: what was asked for, otherwise as safe as the cluster allows.

        :param brokers: how many the cluster has
        """
        copies = min(3, max(1, brokers)) if replication is None else replication
        usual = 2 if copies >= 3 else 1
        return cls(copies, min_in_sync or (None if copies == -1 else usual))

    @classmethod
    def required(cls, replication: int | None, min_in_sync: int | None) -> Copies:
        """Return the least that is safe, or that was asked for instead."""
        copies = 3 if replication in (None, -1) else replication
        assert copies is not None  # noqa: S101
        return cls(copies, min_in_sync or (2 if copies >= 3 else 1))


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """How one topic should be. ``max_message_bytes`` is the topic's ``max.message.bytes``."""

    name: str
    partitions: int
    copies: Copies
    retention: timedelta
    max_message_bytes: int = MESSAGE_BYTES
    compression: str = UNCOMPRESSED

    @property
    def retention_ms(self) -> int:
        """The retention in milliseconds."""
        return self.retention // timedelta(milliseconds=1)

    @property
    def settings(self) -> dict[str, str]:
        """The topic's settings, as Kafka spells them."""
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "compression.type": self.compression,
            "max.message.bytes": str(self.max_message_bytes),
        }
        if self.copies.min_in_sync is not None:
            settings["min.insync.replicas"] = str(self.copies.min_in_sync)
        return settings


def plan_topics(
    names: TopicNames,
    *,
    partitions: int = 6,
    copies: Copies = Copies(),
    longest_job: timedelta = timedelta(days=7),
    longest_wait: timedelta = timedelta(days=7),
    max_message_bytes: int = MESSAGE_BYTES,
    compression: str = UNCOMPRESSED,
) -> list[TopicPlan]:
    """Return how the topics should be for jobs and queue waits of the given lengths.

    The control topic has one partition: every worker reads all of it.

    :raises ConfigurationError: a number is not positive
    """
    if min(partitions, max_message_bytes) < 1:
        raise ConfigurationError("partitions and the longest message must be at least 1")
    if min(longest_job, longest_wait) <= timedelta(0):
        raise ConfigurationError("the longest job and the longest wait must be greater than 0 s")
    wait, job = longest_wait + MARGIN, longest_wait + longest_job + MARGIN

    def plan(name: str, partitions: int, retention: timedelta) -> TopicPlan:
        return TopicPlan(name, partitions, copies, retention, max_message_bytes, compression)

    plans = [
        plan(names.requests, partitions, job),
        plan(names.responses, partitions, job),
        plan(names.control, 1, wait),
        plan(names.dead_letters, 1, DEAD_LETTER_RETENTION),
    ]
    if names.callbacks is not None:
        plans.append(plan(names.callbacks, partitions, job))
    return plans


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster says about itself.

    :ivar brokers: how many it has
    :ivar addresses: where the brokers tell clients to connect, as host:port
    :ivar is_embedded: it is librdkafka's mock cluster, as `kafka-bridge broker` runs it. Such a
        cluster answers no request of an administrator, and its topics have no settings
    """

    brokers: int
    is_embedded: bool
    addresses: tuple[str, ...] = ()


def describe_cluster(config: KafkaConfig, timeout: float = ANSWER_SECONDS) -> Cluster:
    """Ask a cluster what it is.

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
    is_embedded = (metadata.cluster_id or "").startswith(_MOCK_CLUSTER)
    addresses = tuple(sorted(f"{each.host}:{each.port}" for each in metadata.brokers.values()))
    return Cluster(len(addresses), is_embedded, addresses)


def broker_count(config: KafkaConfig, timeout: float = ANSWER_SECONDS) -> int:
    """Return how many brokers the cluster has.

    :raises KafkaError: as in :func:`describe_cluster`
    """
    return describe_cluster(config, timeout).brokers


def create_embedded_topics(config: KafkaConfig, names: Iterable[str]) -> dict[str, bool]:
    """Create missing topics on an embedded cluster; return as :func:`create_topics`.

    It creates a topic when a client that permits this asks for it.

    :raises KafkaError: the cluster did not answer
    """
    admin = make(AdminClient, {**config.admin(), "allow.auto.create.topics": True})
    created = {}
    for name in names:
        known = _ask_for_topics(admin, config, None)
        created[name] = name not in known
        _ask_for_topics(admin, config, name)
    return created


def _ask_for_topics(
    admin: AdminClient, config: KafkaConfig, name: str | None
) -> Mapping[str, TopicMetadata]:
    metadata = ask(
        admin,
        lambda seconds: admin.list_topics(name, timeout=seconds),
        doing="creating topics",
        servers=config.bootstrap_servers,
        timeout=ANSWER_SECONDS,
    )
    return cast("Mapping[str, TopicMetadata]", metadata.topics)


def create_topics(config: KafkaConfig, plans: Iterable[TopicPlan]) -> dict[str, bool]:
    """Create what is missing and return, by topic, whether it was created just now.

    A topic that exists is left as it is: :func:`check_topics` says whether that will do.

    :raises KafkaError: the cluster refused or did not answer
    """
    new = [
        NewTopic(
            plan.name,
            num_partitions=plan.partitions,
            replication_factor=plan.copies.replication,
            config=plan.settings,
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


def delete_topics(config: KafkaConfig, names: Iterable[str]) -> None:
    """Delete topics; missing ones are ignored.

    :raises KafkaError: the cluster refused or did not answer
    """
    admin = make(AdminClient, config.admin())  # must outlive the futures that it gives
    answers = admin.delete_topics(list(names), request_timeout=ANSWER_SECONDS)
    for name, answer in answers.items():
        try:
            answer.result()
        except ck.KafkaException as error:
            if kafka_error(error).code() != ck.KafkaError.UNKNOWN_TOPIC_OR_PART:
                servers = config.bootstrap_servers
                doing = f"deleting topic {name!r}"
                raise translate(error, doing=doing, servers=servers, topic=name) from error


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What a topic is like. It loses no jobs where ``problems`` and ``unsafe`` are empty.

    :ivar problems: settings that lose jobs also while all brokers work
    :ivar unsafe: why the loss of a broker could lose jobs
    :ivar advice: settings that lose no job
    """

    name: str
    partitions: int = 0
    replication: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether the brokers know the topic."""
        return self.partitions > 0


def check_topics(
    config: KafkaConfig,
    plans: Iterable[TopicPlan],
    *,
    patience: float = 0.0,
    timeout: float = ANSWER_SECONDS,
) -> list[TopicReport]:
    """Compare the topics with the plan.

    :param patience: seconds to wait for a topic that is not there; not all brokers of a cluster
        know a topic at once that has just been created
    :param timeout: seconds for each of two requests about a topic
    :raises KafkaError: the cluster refused or did not answer
    """
    admin = make(AdminClient, config.admin())
    deadline = time.monotonic() + patience
    reports = []
    for plan in plans:
        while (
            not (report := _check(admin, config, plan, timeout)).exists
            and time.monotonic() < deadline
        ):
            time.sleep(RETRY_SECONDS)
        reports.append(report)
    return reports


def _check(admin: AdminClient, config: KafkaConfig, plan: TopicPlan, timeout: float) -> TopicReport:
    doing, servers = f"describing topic {plan.name!r}", config.bootstrap_servers
    try:
        metadata = ask(
            admin,
            lambda seconds: admin.list_topics(plan.name, timeout=seconds).topics[plan.name],
            doing=doing,
            servers=servers,
            topic=plan.name,
            timeout=timeout,
        )
        replicas = _replicas(metadata)
        settings = topic_settings(admin, plan.name, timeout)
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
        tuple(_unsafe_copies(plan.copies, min(replicas), settings)),
        tuple(_advice(plan, min(replicas), settings)),
    )


def _replicas(metadata: TopicMetadata) -> list[int]:
    """Return how many copies each partition has."""
    if metadata.error is not None or not metadata.partitions:
        raise ck.KafkaException(
            metadata.error or ck.KafkaError(ck.KafkaError.UNKNOWN_TOPIC_OR_PART)
        )
    return [len(partition.replicas) for partition in metadata.partitions.values()]


def _problems(plan: TopicPlan, settings: Mapping[str, str]) -> Iterable[str]:
    if settings["cleanup.policy"] != "delete":
        yield (
            f"cleanup.policy is {settings['cleanup.policy']!r}, must be 'delete': "
            "compaction removes events of jobs that still run"
        )
    retention = int(settings["retention.ms"])
    if 0 <= retention < plan.retention_ms:
        yield (
            f"retention.ms is {retention} ({in_words(retention)}), "
            f"must be at least {plan.retention_ms} ({in_words(plan.retention_ms)})"
        )
    if int(settings.get("retention.bytes", "-1")) >= 0:
        yield "retention.bytes is set: on a busy day records are removed before retention.ms"


def _unsafe_copies(
    required: Copies, replication: int, settings: Mapping[str, str]
) -> Iterable[str]:
    if replication < required.replication:
        yield (
            f"replication factor {replication}: a lost broker loses jobs, {required.replication} "
            f"is safe (if fewer are intended: --replication {replication})"
        )
        return
    in_sync, least = _min_in_sync(settings), required.min_in_sync or 1
    if in_sync < least:
        yield (
            f"min.insync.replicas is {in_sync}: an acknowledged record may exist on one broker "
            f"only; set {least} (if fewer are intended: --min-insync-replicas {in_sync})"
        )


def _advice(plan: TopicPlan, replication: int, settings: Mapping[str, str]) -> Iterable[str]:
    if replication > 1 and _min_in_sync(settings) >= replication:
        yield (
            f"min.insync.replicas is {_min_in_sync(settings)} of {replication}: with one broker "
            "down, nothing can be published"
        )
    if settings.get("compression.type", UNCOMPRESSED) != UNCOMPRESSED:
        yield (
            f"compression.type is {settings['compression.type']!r}: a batch of a few kB may unpack "
            f"to hundreds of MB in every reader; with {UNCOMPRESSED!r} the broker refuses it"
        )
    longest = int(settings.get("max.message.bytes", plan.max_message_bytes))
    if longest > plan.max_message_bytes:
        yield (
            f"max.message.bytes is {longest:,}: readers hold whole messages in memory, more than "
            f"{plan.max_message_bytes:,} is unusual (if it is intended: --max-message-bytes "
            f"{longest})"
        )


def _min_in_sync(settings: Mapping[str, str]) -> int:
    return int(settings.get("min.insync.replicas", "1"))
