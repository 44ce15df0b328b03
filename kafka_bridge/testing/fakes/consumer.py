"""confluent_kafka's consumer, without a broker: it plays the script that a test has written."""

# ruff: noqa: ARG002  fakes have the signatures of what they replace

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeAlias

import confluent_kafka as ck

from kafka_bridge.kafka.clients import ConnectionWatch
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.testing.fakes.clock import START, FakeClock
from kafka_bridge.testing.fakes.metadata import topic_metadata

Step: TypeAlias = ck.Message | Exception | Callable[[], object] | None
"""A message for ``poll`` to return, an error for it to raise, a function for it to call, or a poll
that finds nothing."""
_Place: TypeAlias = tuple[str, int]
_PARTITION_END: int = ck.KafkaError._PARTITION_EOF  # noqa: SLF001  librdkafka's local codes
_NOTHING_READ = ck.OFFSET_INVALID


class FakeConsumer(ck.Consumer):
    """Gives what the test has added, in order, one step a poll; then polls find nothing.

    ::

        consumer = FakeConsumer("orders", partitions=2, clock=clock)
        monkeypatch.setattr(module_under_test, "make", consumer.make)
        consumer.add_assignment(0, 1)          # the group assigns partitions within a poll
        consumer.add_record(b"…", partition=1)
        consumer.add_error(ck.KafkaError.TOPIC_AUTHORIZATION_FAILED)
        consumer.add_loss(1)                   # the session has expired

    Functions in the script, rebalances among them, are called on the way to the next message; None
    ends a poll. Records of a paused partition wait in the script until it is resumed.

    ``commits`` has the offsets of each commit by partition, ``paused`` the numbers of paused
    partitions. A commit with metadata of more than ``most_metadata`` characters fails.

    :param topic: the topic that the steps belong to
    :param partitions: how many partitions it has
    :param clock: a poll that finds nothing moves it by the poll's timeout; without a clock, such a
        poll waits for the next step, in real time
    """

    def __init__(
        self, topic: str = "topic", partitions: int = 1, *, clock: FakeClock | None = None
    ) -> None:
        # The base class would connect: its __init__ must not run.
        self.topic = topic
        self.partitions = {topic: partitions}
        self.settings: dict[str, Any] = {}
        self.commits: list[dict[int, int]] = []
        self.commit_error: int | None = None
        """The code of ``ck.KafkaError`` that commits fail with."""
        self.most_metadata = 4096
        self.paused: set[int] = set()
        self.closed = False
        self.watermarks: dict[int, tuple[int, int]] = {}
        """By partition, its first offset and its end; without an entry: as the records say."""
        self._clock = clock
        self._script: list[Step] = []
        self._changed = threading.Condition()
        self._records: dict[int, list[ck.Message]] = defaultdict(list)
        self._assignment: dict[_Place, int] = {}
        self._positions: dict[_Place, int] = {}
        self._committed: dict[_Place, ck.TopicPartition] = {}
        self._callbacks: dict[str, Any] = {}

    # What a test does.

    def make(self, _kind: object, settings: Mapping[str, Any]) -> Self:
        """Stand in for ``kafka_bridge.kafka.clients.make``: keep the settings, return this one."""
        self.settings = dict(settings)
        self.connection_watch = ConnectionWatch(settings, settings.get("error_cb"))
        return self

    def add(self, *steps: Step) -> None:
        """Add steps to the script."""
        with self._changed:
            self._script += steps
            self._changed.notify_all()

    def add_record(
        self,
        value: bytes | None,
        key: bytes | None = None,
        *,
        partition: int = 0,
        offset: int | None = None,
        headers: Headers | None = None,
        timestamp_ms: int = int(START * 1000),
    ) -> ck.Message:
        """Add a record and return its message.

        :param offset: without it, the one after the partition's last record
        """
        message = ck.Message(
            topic=self.topic,
            partition=partition,
            offset=self._end(partition) if offset is None else offset,
            key=key,
            value=value,
            headers=list(headers or []),
            timestamp=(ck.TIMESTAMP_CREATE_TIME, timestamp_ms),
        )
        self._records[partition].append(message)
        self.add(message)
        return message

    def add_end(self, partition: int = 0, offset: int | None = None) -> None:
        """Add librdkafka's note that a partition is read to its end."""
        self.add_error(
            _PARTITION_END, partition, self._end(partition) if offset is None else offset
        )

    def add_error(self, code: int, partition: int = 0, offset: int = _NOTHING_READ) -> None:
        """Add a message with an error code of ``ck.KafkaError``, as polls return them."""
        error = ck.KafkaError(code)
        self.add(ck.Message(topic=self.topic, partition=partition, offset=offset, error=error))

    def add_client_error(self, code: int) -> None:
        """Add an error that comes by ``error_cb``: no broker answers, a password is wrong, …."""
        self.add(lambda: self.connection_watch.note(ck.KafkaError(code)))

    def add_statistics(self, facts: Mapping[str, Any]) -> None:
        """Add librdkafka's statistics, which come by ``stats_cb``."""
        self.add(lambda: self.settings["stats_cb"](json.dumps(facts)))

    def add_assignment(self, *partitions: int) -> None:
        """Add a rebalance that gives partitions to this member."""

        def assign() -> None:
            self._assignment.update({(self.topic, each): _NOTHING_READ for each in partitions})
            self._notify("on_assign", partitions)

        self.add(assign)

    def add_revocation(self, *partitions: int) -> None:
        """Add a rebalance that takes partitions from this member, which may still commit."""
        self.add(lambda: self._take_away("on_revoke", partitions))

    def add_loss(self, *partitions: int) -> None:
        """Add the loss of partitions: the group has already given them to others."""
        self.add(lambda: self._take_away("on_lost", partitions))

    @property
    def is_played(self) -> bool:
        """Whether every step of the script was played."""
        return not self._script

    # What the code under test does.

    def subscribe(
        self, topics: list[str], on_assign: Any = None, on_revoke: Any = None, on_lost: Any = None
    ) -> None:
        """Keep the callbacks of rebalances."""
        self._callbacks = {
            "on_assign": on_assign,
            "on_revoke": on_revoke,
            "on_lost": on_lost or on_revoke,
        }

    def unsubscribe(self) -> None:
        """Leave the group: the next poll revokes the partitions."""
        self.add_revocation(*(number for _, number in self._assignment))

    def poll(self, timeout: float = -1) -> ck.Message | None:
        """Play the script up to the next message; raise where it says so."""
        while True:
            step = self._next_step(timeout)
            if isinstance(step, Exception):
                raise step
            if step is None or isinstance(step, ck.Message):
                self._note(step)
                return step
            step()

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[ck.Message]:
        """Return the messages that are next in the script; wait for the first one only."""
        batch: list[ck.Message] = []
        while len(batch) < num_messages:
            if batch and not isinstance(self._peek(), ck.Message):
                break
            message = self.poll(0 if batch else timeout)
            if message is None:
                break
            batch.append(message)
        return batch

    def assign(self, partitions: list[ck.TopicPartition]) -> None:
        """Read these partitions and no others."""
        self.unassign()
        self.incremental_assign(partitions)

    def unassign(self) -> None:
        """Read no partition."""
        self._assignment.clear()
        self._positions.clear()

    def incremental_assign(self, partitions: list[ck.TopicPartition]) -> None:
        """Read these partitions, too."""
        self._assignment.update({_place(each): each.offset for each in partitions})

    def incremental_unassign(self, partitions: list[ck.TopicPartition]) -> None:
        """Read these partitions no longer."""
        self._forget(map(_place, partitions))

    def assignment(self) -> list[ck.TopicPartition]:
        """Return the partitions, with the offsets that they were assigned with."""
        return [ck.TopicPartition(*place, at) for place, at in self._assignment.items()]

    def position(self, partitions: list[ck.TopicPartition]) -> list[ck.TopicPartition]:
        """Return the offsets after the last record of each, as far as one was read."""
        return [
            ck.TopicPartition(*_place(each), self._positions.get(_place(each), _NOTHING_READ))
            for each in partitions
        ]

    def seek(self, partition: ck.TopicPartition) -> None:
        """Note from where to go on; raise where the partition is not assigned."""
        if _place(partition) not in self._assignment:
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError._STATE))  # noqa: SLF001
        self._positions[_place(partition)] = partition.offset

    def pause(self, partitions: list[ck.TopicPartition]) -> None:
        """Keep the partitions' records in the script."""
        self.paused |= {each.partition for each in partitions}

    def resume(self, partitions: list[ck.TopicPartition]) -> None:
        """Give the partitions' records again."""
        with self._changed:
            self.paused -= {each.partition for each in partitions}
            self._changed.notify_all()

    def commit(  # type: ignore[override]  # not all of the overloads
        self, *, offsets: list[ck.TopicPartition], asynchronous: bool = True
    ) -> list[ck.TopicPartition] | None:
        """Note the offsets; ``on_commit`` is called within the next poll."""
        error = None if self.commit_error is None else ck.KafkaError(self.commit_error)
        if any(len(each.metadata or "") > self.most_metadata for each in offsets):
            error = ck.KafkaError(ck.KafkaError.OFFSET_METADATA_TOO_LARGE)
        if error is None:
            self.commits.append({each.partition: each.offset for each in offsets})
            self._committed |= {_place(each): each for each in offsets}
        elif not asynchronous:
            raise ck.KafkaException(error)
        if asynchronous:
            report = self.settings.get("on_commit", lambda *_: None)
            with self._changed:  # an answer comes before what is still on its way
                self._script.insert(0, lambda: report(error, offsets))
                self._changed.notify_all()
            return None
        return offsets

    def committed(
        self, partitions: list[ck.TopicPartition], timeout: float = -1
    ) -> list[ck.TopicPartition]:
        """Return what was committed last; raise as commits do."""
        if self.commit_error is not None:
            raise ck.KafkaException(ck.KafkaError(self.commit_error))
        nothing = ck.OFFSET_INVALID
        return [
            self._committed.get(place, ck.TopicPartition(*place, nothing))
            for place in map(_place, partitions)
        ]

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any:
        """Return the metadata of the topics that the test has named."""
        return topic_metadata(self.partitions, topic)

    def get_watermark_offsets(
        self, partition: ck.TopicPartition, timeout: float = -1, cached: bool = False
    ) -> tuple[int, int]:
        """Return a partition's first offset and its end."""
        number = partition.partition
        return self.watermarks.get(number, (self._first(number), self._end(number)))

    def offsets_for_times(
        self, partitions: list[ck.TopicPartition], timeout: float = -1
    ) -> list[ck.TopicPartition]:
        """Return by partition the offset of its first record since a time, -1 without one."""
        return [
            ck.TopicPartition(*_place(each), self._since(each.partition, each.offset))
            for each in partitions
        ]

    def close(self) -> None:
        """Note that the consumer was closed."""
        self.closed = True

    # The script.

    def _next_step(self, timeout: float) -> Step:
        with self._changed:
            if self._clock is None:
                self._changed.wait_for(self._has_step, None if timeout < 0 else timeout)
            step = self._script.pop(self._ready()) if self._has_step() else None
        if step is None and self._clock is not None:
            self._clock.advance(max(0.0, timeout))
        return step

    def _ready(self) -> int:
        """Return the index of the first step that is not a record of a paused partition."""
        for index, step in enumerate(self._script):
            if not isinstance(step, ck.Message) or step.partition() not in self.paused:
                return index
        return len(self._script)

    def _has_step(self) -> bool:
        return self._ready() < len(self._script)

    def _peek(self) -> Step:
        return self._script[self._ready()] if self._has_step() else None

    def _note(self, message: ck.Message | None) -> None:
        if message is not None and message.error() is None:
            place = (str(message.topic()), message.partition() or 0)
            self._positions[place] = (message.offset() or 0) + 1

    def _notify(self, name: str, partitions: Iterable[int]) -> None:
        callback = self._callbacks.get(name)
        if callback is not None:
            callback(self, [ck.TopicPartition(self.topic, each) for each in partitions])

    def _take_away(self, name: str, partitions: tuple[int, ...]) -> None:
        if partitions:
            self._notify(name, partitions)
        self._forget((self.topic, each) for each in partitions)

    def _forget(self, places: Iterable[_Place]) -> None:
        for place in list(places):
            self._assignment.pop(place, None)
            self._positions.pop(place, None)

    # The records.

    def _first(self, partition: int) -> int:
        return min((each.offset() or 0 for each in self._records[partition]), default=0)

    def _end(self, partition: int) -> int:
        if partition in self.watermarks and not self._records[partition]:
            return self.watermarks[partition][1]
        return max((each.offset() or 0 for each in self._records[partition]), default=-1) + 1

    def _since(self, partition: int, timestamp_ms: int) -> int:
        offsets = (
            each.offset() or 0
            for each in self._records[partition]
            if each.timestamp()[1] >= timestamp_ms
        )
        return min(offsets, default=-1)


def _place(partition: ck.TopicPartition) -> _Place:
    return partition.topic, partition.partition
