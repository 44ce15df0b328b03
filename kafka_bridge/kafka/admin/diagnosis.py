"""Find out why no worker accepts a job: the topic, the groups that read it, their lag.

A client sees only the groups that it may describe; the report names what it cannot see. The groups
of readers do not appear: they have no members and commit nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from kafka_bridge.kafka.admin.groups import (
    committed_by,
    members_on,
    sees_all_groups,
    visible_groups,
)
from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import kafka_error
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.protocol.errors import KafkaBridgeError, TopicNotFound


@dataclass(frozen=True, slots=True)
class GroupReport:
    """A consumer group on a topic.

    ``members`` are those that have partitions of the topic; ``lag`` is how many of its records the
    group has not committed, or None where it has never committed any.
    """

    name: str
    members: int
    lag: int | None

    def __str__(self) -> str:
        members = "1 member" if self.members == 1 else f"{self.members or 'no'} members"
        lag = "has committed nothing yet" if self.lag is None else f"lags by {self.lag:,}"
        return f"{self.name!r} ({members}, {lag})"


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What Kafka knows about a request topic and its consumer groups.

    ``exists`` is None where nothing could be asked; ``blind`` says why the groups are not known.
    ``hidden`` says which groups were seen and not looked into; ``sees_all`` is False where groups
    that this client may not describe are not even listed to it.
    """

    topic: str
    exists: bool | None = True
    groups: tuple[GroupReport, ...] = ()
    blind: str | None = None
    hidden: str | None = None
    sees_all: bool = True

    def __str__(self) -> str:
        if self.exists is None:
            return f"Kafka could not be asked about topic {self.topic!r}: {self.blind}"
        if not self.exists:
            return (
                f"Topic {self.topic!r} does not exist any more: create it "
                "(`kafka-bridge topics create`) or correct the name."
            )
        if self.blind:
            return (
                f"Topic {self.topic!r} exists; its consumer groups are not known ({self.blind}). "
                "Check that the service's workers run and that they read this topic."
            )
        if not self.groups:
            return self._no_group()
        groups = ", ".join(map(str, self.groups))
        more = f" In addition, {self.hidden}." if self.hidden else ""
        return (
            f"Topic {self.topic!r} exists; consumer groups on it: {groups}.{more} {self._advice()}"
        )

    def _no_group(self) -> str:
        if self.hidden is None and self.sees_all:
            return (
                f"Topic {self.topic!r} exists, but no consumer group reads it. Start the "
                "service's workers, or correct the name of the topic."
            )
        unseen = self.hidden or "groups that it may not describe are not shown to it"
        return (
            f"Topic {self.topic!r} exists; no consumer group that this client may see reads it, "
            f"but {unseen}. Start the service's workers if they do not run. If they do, allow "
            "this client to Describe their group (`kafka-bridge topics acls` prints the ACL), and "
            "check that they read this topic."
        )

    def _advice(self) -> str:
        at_work = [group for group in self.groups if group.members]
        if not at_work:
            return "None of them has a member: start the service's workers."
        if any(group.lag != 0 for group in at_work):
            return (
                "The workers are busy with earlier jobs, or stuck: look at their logs, start "
                "more of them, or allow more time with schedule_to_start_timeout."
            )
        return (
            "The workers have consumed all requests, and no event came: look at their logs and "
            "at the dead letters, and check that they may write to the response topic."
        )


def diagnose(config: KafkaConfig, topic: str, timeout: float) -> QueueReport:
    """Return what Kafka knows about a request topic. Failures are part of the report.

    :param timeout: seconds for each request to the brokers
    """
    try:
        ends = end_offsets(config, [topic], timeout)[topic]
        admin = make(AdminClient, config.admin())
        visible = visible_groups(admin, timeout)
        groups = tuple(_groups(admin, visible.descriptions, topic, ends, timeout))
        sees_all = bool(groups) or sees_all_groups(admin, timeout)
        return QueueReport(topic, groups=groups, hidden=visible.hidden, sees_all=sees_all)
    except TopicNotFound:
        return QueueReport(topic, exists=False)
    except ck.KafkaException as error:
        return QueueReport(topic, blind=kafka_error(error).str().strip())
    except KafkaBridgeError as error:
        return QueueReport(topic, exists=None, blind=str(error))


def _groups(
    admin: AdminClient,
    descriptions: Sequence[ConsumerGroupDescription],
    topic: str,
    ends: Sequence[int],
    timeout: float,
) -> Iterator[GroupReport]:
    """Yield the groups that have members on a topic, or have committed offsets of it."""
    for description in descriptions:
        members = members_on(topic, description)
        committed = committed_by(admin, description.group_id, topic, range(len(ends)), timeout)
        if members or committed:
            lag = sum(end - committed.get(number, (0, ""))[0] for number, end in enumerate(ends))
            yield GroupReport(description.group_id, members, lag if committed else None)
