"""Read all partitions of a topic in a group of its own, without commits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import confluent_kafka as ck

from kafka_bridge.kafka.clients import failure_of, make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import ends_reading, is_missing_topic
from kafka_bridge.kafka.health import STATISTICS_MS, ReaderHealth, StallWatch, reader_health
from kafka_bridge.kafka.offsets import TopicOffsets
from kafka_bridge.kafka.records import arrived
from kafka_bridge.kafka.responses.topic_watch import METADATA_SECONDS, TopicWatch
from kafka_bridge.kafka.unreadable import SkippedBatches, UnreadableBatches, is_unreadable

POLL_SECONDS = 0.05
"""How long to wait for a record before looking for new jobs."""
FIRST_POLL_SECONDS = 0.001
"""How long to wait for the first job, for which the reader was opened."""
BATCH_RECORDS = 500
"""Fewer than the 700 new objects at which Python looks for garbage: a batch costs no collection."""
MANY_RECORDS = 100
FILL_SECONDS = 0.005
"""How long a batch may take to fill where records come so many at a time."""
RETRY_SECONDS = 1.0
"""How long to wait until the brokers are asked again for a partition's first offset and end."""

_NO_SUCH_OFFSET = frozenset(
    {ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError._LOG_TRUNCATION}  # noqa: SLF001  local codes
)


@dataclass(frozen=True, slots=True)
class RefusedPosition:
    """A position that a partition does not have: it holds ``first`` up to, not including, ``end``.

    ``wanted`` lies before ``first`` where retention was quicker than the reader. Otherwise the
    partition's offsets went back: the topic was recreated, or the partition was truncated.
    """

    partition: int
    wanted: int
    first: int
    end: int

    @property
    def was_removed(self) -> bool:
        """Whether retention has removed what lies there."""
        return self.wanted < self.first


class TopicConsumer:
    """Reads all partitions of a topic from offsets that its user chooses. For one thread.

    ``positions`` has by partition the offset that is read next; it is empty before :meth:`assign`.
    ``ends`` has by partition the offset at which the partition ended a moment ago, as far as known.
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self.topic = topic
        self.positions: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.health = ReaderHealth(connected=False, held_back=False, lag=0)
        self.has_new_statistics = False
        self._config = config
        self._consumer: ck.Consumer | None = None
        self._unreadable = UnreadableBatches(config, topic)
        self._bad_messages: list[ck.Message] = []
        self._stalls = StallWatch(topic)
        self._refused: set[int] = set()
        self._ask_at = 0.0
        self._last_batch = 0
        self._fatal: ck.KafkaError | None = None

    def open(self) -> None:
        """Connect.

        :raises ConfigurationError: librdkafka does not accept the configuration
        """
        self._offsets = TopicOffsets(self._config)
        self._watch = TopicWatch(self._offsets, self.topic)

    def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            self._consumer.close()

    def _on_error(self, error: ck.KafkaError) -> None:
        if is_missing_topic(error):
            self._watch.note_missing()
        elif ends_reading(error):
            self._fatal = error

    def _on_statistics(self, statistics: str) -> None:
        facts = json.loads(statistics)
        known = facts["topics"].get(self.topic, {})
        health = reader_health(facts, self.topic, self.positions)
        partitions = known.get("partitions", {}) if health.connected else {}
        is_stalled = self._stalls.look(partitions)
        gets_nothing = is_stalled or bool(self._refused)
        self.health = replace(health, connected=False) if gets_nothing else health
        self.ends = {
            int(number): each["hi_offset"]
            for number, each in known.get("partitions", {}).items()
            if each["hi_offset"] >= 0
        }
        self._watch.note_metadata_age(known.get("metadata_age", 0) / 1000)
        self.has_new_statistics = True

    # Where to read.

    def partitions(self) -> range:
        """Return the topic's partitions.

        :raises KafkaError: the topic does not exist, may not be described, or no broker answers
        """
        return self._watch.partitions(METADATA_SECONDS)

    def assign(self, starts: Mapping[int, int]) -> None:
        """Read from these offsets on, given for every partition, with a new consumer.

        A connected consumer would start its partitions one by one, and fetch as soon as the first
        is started. If that one has no record, the broker answers after half a second
        (``fetch.wait.max.ms``), and only then the other partitions are fetched. A new consumer
        starts all its partitions while it connects.
        """
        self.positions = dict(starts)
        self._refused.clear()
        settings = {
            **self._config.reader("responses"),
            "auto.offset.reset": "error",  # we decide where to go on
            "error_cb": self._on_error,
            "stats_cb": self._on_statistics,
            "statistics.interval.ms": STATISTICS_MS,
        }
        before, self._consumer = self._consumer, make(ck.Consumer, settings)
        self._consumer.assign([ck.TopicPartition(self.topic, p, at) for p, at in starts.items()])
        if before is not None:
            before.close()

    def bounds(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Return by partition its first offset and its end, as far as the brokers answer."""
        return self._offsets.bounds(self.topic, partitions, METADATA_SECONDS)

    def changed_partitions(self) -> range | None:
        """Return the topic's partitions where there are new ones, or the topic was missing.

        :raises TopicNotFound: the topic was deleted
        """
        return self._watch.changed(self.positions) if self.positions else None

    def was_recreated(self) -> bool:
        """Tell, once, whether another topic has the name now."""
        return self._watch.was_recreated()

    def refused_positions(self) -> list[RefusedPosition]:
        """Return the positions that are not in their partitions: :meth:`assign` others.

        Where the brokers do not say what is there instead, they are asked again after a second.
        """
        if not self._refused or time.monotonic() < self._ask_at:
            return []
        self._ask_at = time.monotonic() + RETRY_SECONDS
        bounds = self.bounds(sorted(self._refused))
        self._refused.difference_update(bounds)
        return [
            RefusedPosition(partition, self.positions[partition], first, end)
            for partition, (first, end) in bounds.items()
        ]

    # Reading.

    def poll(self, seconds: float = POLL_SECONDS) -> list[ck.Message]:
        """Return what has arrived.

        Nothing is held back in the hope of a fuller batch, but where records come in masses.

        :param seconds: how long to wait for the first record
        :raises KafkaError: something failed that does not heal by itself
        """
        if self._consumer is None:
            time.sleep(FIRST_POLL_SECONDS)
            return []
        if self._last_batch >= MANY_RECORDS:
            batch = self._consumer.consume(BATCH_RECORDS, timeout=FILL_SECONDS)
        else:
            batch = arrived(self._consumer, seconds, BATCH_RECORDS)
        self._raise_what_will_not_heal()
        self._last_batch = len(batch)
        return batch

    def note_bad(self, message: ck.Message) -> None:
        """Note a message with an error, which came among the records."""
        error = message.error()
        assert error is not None  # noqa: S101  a programming error
        if is_unreadable(error):
            self._bad_messages.append(message)
        elif error.code() in _NO_SUCH_OFFSET and message.partition() in self.positions:
            self._refused.add(message.partition() or 0)
        else:
            self._on_error(error)

    def note_positions(self) -> list[SkippedBatches]:
        """Follow what was read; return what was skipped since it cannot be unpacked."""
        assert self._consumer is not None  # noqa: S101  a programming error
        partitions = [ck.TopicPartition(self.topic, partition) for partition in self.positions]
        moved = {
            each.partition: each.offset
            for each in self._consumer.position(partitions)
            if each.offset >= 0  # else nothing of it was read since the assignment
        }
        self.positions = {**self.positions, **moved}
        skipped = list(self._unreadable.skip_all(self._consumer, self._bad_messages))
        self._bad_messages = []
        self.positions |= {each.partition: each.end for each in skipped}
        return skipped

    def _raise_what_will_not_heal(self) -> None:
        if self._fatal is not None:
            raise failure_of(
                self._consumer,
                self._fatal,
                doing=f"reading topic {self.topic!r}",
                servers=self._config.bootstrap_servers,
                topic=self.topic,
            )
