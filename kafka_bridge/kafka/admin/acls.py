"""The ACLs that each side needs, as commands for Kafka's own ``kafka-acls``.

Read and Write imply Describe. Brokers before 3.0 also require IdempotentWrite on the cluster
from every producer.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import GROUP_PREFIX, KafkaConfig


@dataclass(frozen=True, slots=True)
class Acl:
    """One principal may do some operations on one resource; ``why`` completes "needed to …"."""

    principal: str
    operations: tuple[str, ...]
    resource: str  # "topic" or "group"
    name: str
    why: str
    prefixed: bool = False

    def command(
        self, bootstrap_servers: str | None = None, command_config: str | None = None
    ) -> str:
        """Return the shell command that grants it, with every word quoted where needed.

        :param bootstrap_servers: the cluster; a line without it does not run as it is
        :param command_config: a file with an administrator's client properties
        """
        words = ["kafka-acls"]
        if bootstrap_servers is not None:
            words += ["--bootstrap-server", bootstrap_servers]
        if command_config is not None:
            words += ["--command-config", command_config]
        words += ["--add", "--allow-principal", self.principal]
        for operation in self.operations:
            words += ["--operation", operation]
        words += [f"--{self.resource}", self.name]
        if self.prefixed:
            words += ["--resource-pattern-type", "prefixed"]
        return shlex.join(words)


def airflow_acls(
    names: TopicNames, principal: str, worker_group: str, reader_prefix: str = GROUP_PREFIX
) -> Iterable[Acl]:
    """Return the ACLs of Airflow's workers and triggerers.

    :param reader_prefix: the prefix of the readers' groups, see :attr:`KafkaConfig.reader_prefix`
    """
    asks = "publish job requests, and find those of earlier tries"
    yield Acl(principal, ("Write", "Read"), "topic", names.requests, asks)
    yield Acl(principal, ("Read",), "topic", names.responses, "wait for jobs")
    yield Acl(principal, ("Write",), "topic", names.control, "cancel jobs")
    yield _readers(principal, reader_prefix)
    yield Acl(principal, ("Describe",), "group", worker_group, "report why no worker accepts a job")


def worker_acls(
    names: TopicNames, principal: str, worker_group: str, reader_prefix: str = GROUP_PREFIX
) -> Iterable[Acl]:
    """Return the ACLs of a service's workers, or gateways.

    :param reader_prefix: as for :func:`airflow_acls`
    """
    yield Acl(principal, ("Read",), "topic", names.requests, "receive jobs")
    yield Acl(principal, ("Read",), "group", worker_group, "share jobs among workers")
    answers = "publish status events, and know which jobs are finished"
    yield Acl(principal, ("Write", "Read"), "topic", names.responses, answers)
    yield Acl(principal, ("Read",), "topic", names.control, "receive cancel commands")
    why = "write unprocessable requests to the dead-letter topic"
    yield Acl(principal, ("Write",), "topic", names.dead_letters, why)
    yield _readers(principal, reader_prefix)
    if names.callbacks is not None:
        keeps = "store callbacks, and read those of other gateways"
        yield Acl(principal, ("Write", "Read"), "topic", names.callbacks, keeps)


def operator_acls(
    names: TopicNames, principal: str, reader_prefix: str = GROUP_PREFIX
) -> Iterable[Acl]:
    """Return the ACLs of the command line: topics check, dead-letters, jobs, queues, workers.

    Creating topics needs Create on each of them, once; an administrator does that.

    :param reader_prefix: as for :func:`airflow_acls`
    """
    read, write, settings = ("Read",), ("Write",), ("DescribeConfigs",)
    replays, jobs = "dead-letters replay, jobs, topics check", "jobs, topics check"
    yield Acl(principal, write + read + settings, "topic", names.requests, replays)
    yield Acl(principal, read + settings, "topic", names.responses, replays)
    yield Acl(principal, write + read + settings, "topic", names.control, jobs)
    yield Acl(principal, read + settings, "topic", names.dead_letters, "dead-letters, topics check")
    if names.callbacks is not None:
        yield Acl(principal, ("Describe", *settings), "topic", names.callbacks, "topics check")
    yield _readers(principal, reader_prefix)


def principal_of(config: KafkaConfig) -> str:
    """Return the user as which the brokers know this client, as far as its properties tell."""
    return f"User:{config.settings.get('sasl.username', '…')}"


def _readers(principal: str, prefix: str) -> Acl:
    """Readers assign partitions themselves, in groups with this prefix, of which they use nothing.

    librdkafka looks for the coordinator of each: twice a second while it is refused.
    """
    why = "read topics without denials in the brokers' authorizer log"
    return Acl(principal, ("Describe",), "group", prefix, why, prefixed=True)
