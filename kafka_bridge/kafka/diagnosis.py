"""Why nobody takes a job, as far as Kafka knows: the topic, the groups that read it, their lag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import GROUP_PREFIX, KafkaConfig
from kafka_bridge.kafka.failures import kafka_error
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.protocol.errors import KafkaBridgeError, TopicNotFound

MOST_GROUPS = 200
"""How many groups of a cluster are looked into: each takes a question to its coordinator."""


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
    """What Kafka knows of a request topic and of who reads it.

    ``exists`` is None where nothing could be asked; ``blind`` says why the groups are not known.
    """

    topic: str
    exists: bool | None = True
    groups: tuple[GroupReport, ...] = ()
    blind: str | None = None

    def __str__(self) -> str:
        if self.exists is None:
            return f"What Kafka knows of topic {self.topic!r} could not be asked: {self.blind}"
        if not self.exists:
            return (
                f"Topic {self.topic!r} does not exist any more: create it "
                "(`kafka-bridge topics create`) or correct the name."
            )
        if self.blind:
            return (
                f"Topic {self.topic!r} exists; who reads it is not known ({self.blind}). Check "
                "that the service's workers run and that they read this topic."
            )
        if not self.groups:
            return (
                f"Topic {self.topic!r} exists, but no consumer group reads it. Start the "
                "service's workers, or correct the name of the topic."
            )
        groups = ", ".join(map(str, self.groups))
        return f"Topic {self.topic!r} exists; consumer groups on it: {groups}. {self._advice()}"

    def _advice(self) -> str:
        at_work = [group for group in self.groups if group.members]
        if not at_work:
            return "None of them has a member: start the service's workers."
        if any(group.lag != 0 for group in at_work):
            return (
                "The workers are busy with what came before, or stuck: look at their logs, start "
                "more of them, or allow more time with schedule_to_start_timeout."
            )
        return (
            "The workers have taken all that there is, and none answered: look at their logs and "
            "at the dead letters, and check that they may write to the response topic."
        )


def diagnose(config: KafkaConfig, topic: str, timeout: float) -> QueueReport:
    """Return what Kafka knows of a request topic. What it does not tell is said in words.

    :param timeout: seconds for each question to the brokers
    """
    try:
        ends = end_offsets(config, [topic], timeout)[topic]
        admin = make(AdminClient, config.admin())
        return QueueReport(topic, groups=tuple(_groups(admin, topic, ends, timeout)))
    except TopicNotFound:
        return QueueReport(topic, exists=False)
    except ck.KafkaException as error:
        return QueueReport(topic, blind=kafka_error(error).str().strip())
    except KafkaBridgeError as error:
        return QueueReport(topic, exists=None, blind=str(error))


def _groups(
    admin: AdminClient, topic: str, ends: Sequence[int], timeout: float
) -> Iterator[GroupReport]:
    """Yield the groups that have members on a topic, or have committed offsets of it."""
    for description in _descriptions(admin, timeout):
        members = sum(_has_part_of(topic, member) for member in description.members)
        committed = _committed(admin, description.group_id, topic, len(ends), timeout)
        if members or committed:
            lag = sum(end - committed.get(number, 0) for number, end in enumerate(ends))
            yield GroupReport(description.group_id, members, lag if committed else None)


def _descriptions(admin: AdminClient, timeout: float) -> list[ConsumerGroupDescription]:
    listed = admin.list_consumer_groups(request_timeout=timeout).result()
    names = sorted(
        group.group_id for group in listed.valid if not group.group_id.startswith(GROUP_PREFIX)
    )[:MOST_GROUPS]
    if not names:
        if listed.errors:
            raise ck.KafkaException(listed.errors[0])
        return []
    answers = admin.describe_consumer_groups(names, request_timeout=timeout)
    return [answer.result() for answer in answers.values()]


def _has_part_of(topic: str, member) -> bool:  # type: ignore[no-untyped-def]
    assignment = member.assignment
    return assignment is not None and any(
        part.topic == topic for part in assignment.topic_partitions
    )


def _committed(
    admin: AdminClient, group: str, topic: str, partitions: int, timeout: float
) -> dict[int, int]:
    """Return a group's committed offsets, by partition, of those that it has committed."""
    asked = ck.ConsumerGroupTopicPartitions(
        group, [ck.TopicPartition(topic, number) for number in range(partitions)]
    )
    (answer,) = admin.list_consumer_group_offsets([asked], request_timeout=timeout).values()
    found = answer.result().topic_partitions
    return {each.partition: each.offset for each in found if each.offset >= 0}
