"""Find out how many unfinished requests are before one that no worker has accepted yet.

Kafka has no such number. It follows from what the workers' group has committed: the offset of each
partition, and beside it which offsets above are finished
(:mod:`kafka_bridge.kafka.finished_runs`). A worker in another language may commit the offset alone.
Then requests that were finished out of order count as unfinished.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import confluent_kafka as ck
from confluent_kafka.admin import ConsumerGroupDescription

from kafka_bridge.kafka.admin.groups import (
    VisibleGroups,
    committed_by,
    members_on,
    sees_all_groups,
    visible_groups,
)
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import kafka_error
from kafka_bridge.kafka.finished_runs import Run, from_metadata
from kafka_bridge.kafka.offsets import TopicOffsets
from kafka_bridge.protocol.errors import BrokerUnreachable, KafkaBridgeError, TopicNotFound

LEAST_SECONDS = 0.5
"""How long a question may take even if the time for the look is over: so it says what is wrong."""


@dataclass(frozen=True, slots=True)
class PartitionQueue:
    """What is unfinished in a partition of a request topic.

    :ivar first: the offset of its first record
    :ivar committed: the first offset that may be unfinished
    :ivar finished: runs of finished offsets above it, ascending
    """

    first: int
    committed: int
    finished: tuple[Run, ...] = ()

    @property
    def done(self) -> int:
        """How many offsets are finished; it grows by one with each finished request."""
        return self.committed + sum(end - start for start, end in self.finished)

    def before(self, offset: int) -> int | None:
        """Return how many unfinished requests have a smaller offset.

        Returns None if the request at this offset is finished itself.
        """
        count = offset - self.committed
        for start, end in self.finished:
            if start <= offset < end:
                return None
            if end <= offset:
                count -= end - start
        return count if count >= 0 else None


@dataclass(frozen=True, slots=True)
class TopicQueue:
    """A request topic as its workers have left it.

    :ivar workers: the members of the group that have partitions of the topic
    :ivar partitions: by number; empty where nothing is known
    :ivar absent: in words, that no worker reads the topic, and what to do; None: that is not known
    :ivar unknown: in words, why nothing is known
    """

    workers: int = 0
    partitions: Mapping[int, PartitionQueue] = field(default_factory=dict)
    absent: str | None = None
    unknown: str | None = None


def queues_of(
    config: KafkaConfig, topics: Collection[str], timeout: float
) -> dict[str, TopicQueue]:
    """Look at request topics. Failures are part of the answer.

    :param timeout: seconds for all of it, about
    :raises ConfigurationError: librdkafka does not accept the configuration
    """
    look = _Look(TopicOffsets(config), time.monotonic() + timeout)
    found = dict[str, TopicQueue]()
    for topic in topics:
        try:
            found[topic] = look.at(topic)
        except TopicNotFound:
            advice = "create it (`kafka-bridge topics create`) or correct the name"
            found[topic] = TopicQueue(absent=f"topic {topic!r} does not exist any more: {advice}")
        except ck.KafkaException as error:
            found[topic] = TopicQueue(unknown=kafka_error(error).str().strip())
        except BrokerUnreachable as error:  # the other topics would need as long, each of them
            return {each: found.get(each, TopicQueue(unknown=str(error))) for each in topics}
        except KafkaBridgeError as error:
            found[topic] = TopicQueue(unknown=str(error))
    return found


class _Look:
    """One look at the topics of a cluster: the groups are asked for once."""

    def __init__(self, offsets: TopicOffsets, deadline: float) -> None:
        self._offsets = offsets
        self._deadline = deadline
        self._groups: VisibleGroups | None = None

    @property
    def _seconds(self) -> float:
        return max(LEAST_SECONDS, self._deadline - time.monotonic())

    def at(self, topic: str) -> TopicQueue:
        """Return the state of a topic.

        :raises confluent_kafka.KafkaException: the brokers did not say which groups there are
        :raises KafkaBridgeError: the brokers did not say where the topic begins
        """
        firsts = self._offsets.firsts(
            topic, self._offsets.partitions(topic, self._seconds), self._seconds
        )
        if self._groups is None:
            self._groups = visible_groups(self._offsets.admin, self._seconds, with_members=True)
        readers = [each for each in self._groups.descriptions if members_on(topic, each)]
        if not readers:
            return self._without_group(topic, self._groups)
        found = [self._left_by(group, topic, firsts) for group in readers]
        # Usually there is one. Of several, most likely the one that is behind does the work.
        return min(found, key=lambda each: sum(part.done for part in each.partitions.values()))

    def _left_by(
        self, group: ConsumerGroupDescription, topic: str, firsts: Mapping[int, int]
    ) -> TopicQueue:
        admin, name = self._offsets.admin, group.group_id
        committed = committed_by(admin, name, topic, firsts, self._seconds)
        partitions = {
            number: _partition(first, *committed.get(number, (first, "")))
            for number, first in firsts.items()
        }
        return TopicQueue(members_on(topic, group), partitions)

    def _without_group(self, topic: str, groups: VisibleGroups) -> TopicQueue:
        if any(each.state is not ck.ConsumerGroupState.STABLE for each in groups.descriptions):
            return TopicQueue()  # perhaps its members are about to get their partitions
        if groups.hidden is None and sees_all_groups(self._offsets.admin, self._seconds):
            return TopicQueue(
                absent=f"no consumer group reads {topic!r}: start the service's workers"
            )
        return TopicQueue(
            unknown=f"no consumer group that this client may see reads {topic!r}: start the "
            "service's workers, or allow this client to Describe their group "
            "(`kafka-bridge topics acls` prints the ACL)"
        )


def _partition(first: int, committed: int, metadata: str) -> PartitionQueue:
    if committed < first:  # retention has removed requests that nobody has finished
        return PartitionQueue(first, first)
    known = from_metadata(committed, metadata)
    return PartitionQueue(first, committed, () if known is None else known.runs)
