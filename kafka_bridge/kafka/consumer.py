"""A worker's consumer: a member of the service's group that never stops polling."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, TypeAlias

import confluent_kafka as ck

from kafka_bridge.kafka.clients import failure_of, make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import heals_by_itself, kafka_error
from kafka_bridge.kafka.health import StallWatch, answering_brokers
from kafka_bridge.kafka.records import Received, arrived
from kafka_bridge.kafka.topic_metadata import partition_count
from kafka_bridge.kafka.unreadable import SkippedBatches, UnreadableBatches, is_unreadable

_log = logging.getLogger(__name__)

START_SECONDS = 30.0
"""How long a worker waits for a broker when it starts."""

BATCH_RECORDS = 200
STATISTICS_MS = 5000

LEAVE_SECONDS = 0.1
"""How long a consumer that leaves its group polls, so that its LeaveGroup is sent."""

COMMITTED_SECONDS = 5.0
"""How long the brokers may take to say what was committed."""

_REBALANCING = frozenset(
    {
        ck.KafkaError.ILLEGAL_GENERATION,
        ck.KafkaError.REBALANCE_IN_PROGRESS,
        ck.KafkaError.STALE_MEMBER_EPOCH,
        ck.KafkaError.UNKNOWN_MEMBER_ID,
    }
)

Partitions: TypeAlias = Iterable[int]


class Position(NamedTuple):
    """A place in a partition, as it is committed.

    :ivar offset: of the next record
    :ivar metadata: a text that is committed beside it, if any
    """

    offset: int
    metadata: str = ""


class RequestConsumer:
    """Reads one request topic as a member of a group. For one thread only.

    ``assigned``, ``revoked`` and ``lost`` are called, within :meth:`poll` and :meth:`close`, with
    partition numbers. ``revoked`` may still commit; a partition is ``lost`` when the
    session has expired: its new owner may already publish events for its jobs.

    Batches that cannot be unpacked are skipped, and ``skipped`` is called within :meth:`poll` with
    each range.

    :raises TopicNotFound: the request topic does not exist
    :raises AccessDenied: the brokers do not let it in, or not to the topic
    :raises BrokerUnreachable: no broker answered within 30 s
    """

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        group_id: str,
        *,
        assigned: Callable[[Partitions], None],
        revoked: Callable[[Partitions], None],
        lost: Callable[[Partitions], None],
        skipped: Callable[[SkippedBatches], None],
    ) -> None:
        self._topic = topic
        self._servers = config.bootstrap_servers
        self._skipped = skipped
        self._unreadable = UnreadableBatches(config, topic)
        self._stalls = StallWatch(topic)
        self._held: dict[int, bool | None] = {}
        self._fatal: ck.KafkaError | None = None
        self._commit_failed = False
        self._has_metadata = True
        self._asked = self._answered = self._question = self._yes = self._doubt = 0
        settings = {
            **config.worker(group_id),
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
            "stats_cb": self._on_statistics,
            "statistics.interval.ms": STATISTICS_MS,
        }
        self._consumer = make(ck.Consumer, settings)
        partition_count(self._consumer, topic, self._servers, START_SECONDS)

        def on_assign(_: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
            numbers = [each.partition for each in partitions]
            # Whether these are paused is unknown: the next hold() decides.
            self._held.update(dict.fromkeys(numbers))
            assigned(numbers)

        def forget(partitions: list[ck.TopicPartition]) -> None:
            for each in partitions:
                self._held.pop(each.partition, None)

        def on_revoke(_: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
            forget(partitions)
            revoked([each.partition for each in partitions])

        def on_lost(_: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
            forget(partitions)
            lost([each.partition for each in partitions])

        self._consumer.subscribe([topic], on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)

    def poll(self, timeout: float) -> list[Received]:
        """Return the records that are there, waiting for the first one up to ``timeout`` seconds.

        :raises KafkaError: something failed that does not heal by itself
        """
        batch = arrived(self._consumer, timeout, BATCH_RECORDS)
        if self._fatal is not None:
            raise failure_of(
                self._consumer,
                self._fatal,
                doing=f"reading topic {self._topic!r}",
                servers=self._servers,
                topic=self._topic,
            )
        records = []
        for message in batch:
            if (error := message.error()) is None:
                records.append(Received(message))
            elif is_unreadable(error):
                self._skip(message)
            else:
                self._on_error(error)
        return records

    def _skip(self, message: ck.Message) -> None:
        if (skipped := self._unreadable.skip(self._consumer, message)) is not None:
            self._skipped(skipped)

    def _on_error(self, error: ck.KafkaError) -> None:
        if heals_by_itself(error):
            _log.debug("Kafka: %s", error.str())  # librdkafka's own lines say it, too
        else:
            self._fatal = error

    def _on_statistics(self, statistics: str) -> None:
        facts = json.loads(statistics)
        answering = answering_brokers(facts)
        partitions = {
            number: each
            for number, each in facts["topics"].get(self._topic, {}).get("partitions", {}).items()
            if self._held.get(int(number), True) is False and each["leader"] in answering
        }
        self._stalls.look(partitions)

    def hold(self, held: AbstractSet[int]) -> None:
        """Pause these partitions and resume all others; polling goes on."""
        changed = [number for number, was in self._held.items() if was != (number in held)]
        if not changed:
            return
        for is_held, change in ((True, self._consumer.pause), (False, self._consumer.resume)):
            partitions = [
                ck.TopicPartition(self._topic, number)
                for number in changed
                if (number in held) is is_held
            ]
            if partitions:
                change(partitions)
        self._held.update({number: number in held for number in changed})

    def seek(self, partition: int, offset: int) -> None:
        """Continue a partition at an offset; if that fails, the records before it arrive."""
        try:
            self._consumer.seek(ck.TopicPartition(self._topic, partition, offset))
        except ck.KafkaException as error:
            _log.debug("Seeking in partition %d failed: %s", partition, kafka_error(error).str())

    def committed(self, partitions: Partitions) -> dict[int, Position]:
        """Return what the group has committed, if the brokers say so in time."""
        asked = [ck.TopicPartition(self._topic, each) for each in partitions]
        try:
            found = self._consumer.committed(asked, timeout=COMMITTED_SECONDS)
        except ck.KafkaException as error:
            _log.warning("Reading committed offsets failed: %s", kafka_error(error).str())
            return {}
        return {
            each.partition: Position(each.offset, each.metadata or "")
            for each in found
            if each.error is None and each.offset >= 0
        }

    def commit(self, positions: Mapping[int, Position], *, wait: bool = False) -> None:
        """Commit the next offset of each partition; a failure is logged, not raised.

        No job is lost: uncommitted requests are delivered again. If the brokers refuse metadata of
        that length, none is committed any more.
        """
        if not positions:
            return
        try:
            if wait:
                self._commit_and_wait(positions)
            else:
                self._consumer.commit(offsets=self._offsets(positions))
                self._asked += 1
        except ck.KafkaException as error:
            self._not_committed(kafka_error(error))

    def _commit_and_wait(self, positions: Mapping[int, Position]) -> None:
        try:
            self._consumer.commit(offsets=self._offsets(positions), asynchronous=False)
        except ck.KafkaException as error:
            if not self._is_metadata_refused(kafka_error(error)):
                raise
            self._consumer.commit(offsets=self._offsets(positions), asynchronous=False)

    def _offsets(self, positions: Mapping[int, Position]) -> list[ck.TopicPartition]:
        return [
            ck.TopicPartition(
                self._topic, number, at.offset, metadata=at.metadata if self._has_metadata else ""
            )
            for number, at in positions.items()
        ]

    def _is_metadata_refused(self, error: ck.KafkaError) -> bool:
        """Tell whether the brokers refuse the metadata; then commit none from now on."""
        is_refused = error.code() == ck.KafkaError.OFFSET_METADATA_TOO_LARGE
        if is_refused and self._has_metadata:
            self._has_metadata = False
            _log.warning(
                "The brokers refuse commit metadata of this length: a worker that takes over will "
                "read finished requests again. Set offset.metadata.max.bytes of the brokers to "
                "4096, Kafka's default"
            )
        return is_refused

    def _not_committed(self, error: ck.KafkaError) -> None:
        self._commit_failed = True
        if self._is_metadata_refused(error):
            return
        # While the group rebalances that is usual.
        level = logging.DEBUG if error.code() in _REBALANCING else logging.WARNING
        _log.log(level, "Committing offsets failed: %s", error.str())

    def has_failed_to_commit(self) -> bool:
        """Return whether a commit has failed since this was last asked."""
        failed, self._commit_failed = self._commit_failed, False
        return failed

    def is_member(self, positions: Mapping[int, Position], doubt: int) -> bool:
        """Return whether the group still has this member; ask again until it does.

        The question is a commit of these positions, which the group refuses from a non-member. The
        answer comes within :meth:`poll`, so the first call returns False.

        :param doubt: a number for each time ownership is in doubt; earlier answers do not count
        """
        if doubt != self._doubt:
            self._doubt, self._question = doubt, 0
        if self._question and self._yes >= self._question:
            self._question = 0
            return True
        if self._asked == self._answered and positions:
            self.commit(positions)
            self._question = self._asked
        return False

    def _on_commit(self, error: ck.KafkaError | None, _: list[ck.TopicPartition]) -> None:
        self._answered += 1  # answers come in the order of the questions
        if error is None:
            self._yes = self._answered
        else:
            self._not_committed(error)

    def close(self) -> None:
        """Leave the group: others get its partitions at once.

        A member of a cooperative group that has no partitions, or is still joining, would otherwise
        leave silently: librdkafka 2.16 sends no LeaveGroup from ``close`` then, and the group
        waits for it until its session times out. ``unsubscribe`` sends it, once it is served by a
        poll; that poll also revokes the partitions.
        """
        with contextlib.suppress(ck.KafkaException):  # closing goes on whatever fails here
            self._consumer.unsubscribe()
            self._consumer.poll(LEAVE_SECONDS)
        self._consumer.close()
