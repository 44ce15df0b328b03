"""Read a topic continuously on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import confluent_kafka as ck

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import PARTITION_END, ends_reading, translate
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import Record, arrived
from kafka_bridge.kafka.unreadable import SkippedBatches, UnreadableBatches, is_unreadable
from kafka_bridge.protocol.errors import BrokerUnreachable, KafkaBridgeError, ReaderClosed

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
BATCH_RECORDS = 500


class TopicFollower:
    """Reads a topic continuously and passes each record to a callback.

    :param purpose: names the consumer's group and thread
    :param take: called on the follower's thread with each record; must return at once
    :param starts: by partition the first offset to read; others are read from their beginning
    :param timeout: seconds for the brokers to say what partitions there are
    :param skipped: called on the follower's thread with each range that cannot be unpacked
    :param failed: called on the follower's thread if it ends by itself; :meth:`check` has the error
    :raises TopicNotFound: the topic does not exist
    :raises AccessDenied: it may not be read
    :raises BrokerUnreachable: no broker answered in time
    """

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        purpose: str,
        take: Callable[[Record], None],
        *,
        starts: Sequence[int] = (),
        timeout: float,
        skipped: Callable[[SkippedBatches], None] = lambda _: None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._topic = topic
        self._take = take
        self._starts = starts
        self._skipped = skipped
        self._failed = failed
        self._unreadable = UnreadableBatches(config, topic)
        self._reached: dict[int, int] = {}
        self._moved = threading.Condition()
        self._failure: KafkaBridgeError | None = None
        self._stopping = threading.Event()
        partitions = len(end_offsets(config, [topic], timeout)[topic])
        self._consumer = make(ck.Consumer, {**config.reader(purpose), "enable.partition.eof": True})
        self._assign(range(partitions))
        self._thread = threading.Thread(
            target=self._run, name=f"kafka-bridge-{purpose}", daemon=True
        )
        self._thread.start()

    def catch_up(self, timeout: float) -> None:
        """Return once everything that is in the topic now has been read.

        :raises BrokerUnreachable: that took longer than ``timeout`` seconds
        :raises KafkaBridgeError: the topic can no longer be read
        """
        ends = end_offsets(self._config, [self._topic], timeout)[self._topic]
        if new := [number for number in range(len(ends)) if number not in self._reached]:
            self._assign(new)
        with self._moved:
            if not self._moved.wait_for(lambda: self._is_past(ends), timeout):
                raise BrokerUnreachable(
                    f"topic {self._topic!r} was not read to its end within {timeout:g} s"
                )
        self.check()

    def _is_past(self, ends: Sequence[int]) -> bool:
        return self._failure is not None or all(
            self._reached[number] >= end for number, end in enumerate(ends)
        )

    def check(self) -> None:
        """Raise what ended the reading, where something did."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _assign(self, partitions: Sequence[int]) -> None:
        starts = {
            number: self._starts[number] if number < len(self._starts) else 0
            for number in partitions
        }
        self._reached |= starts
        self._consumer.incremental_assign(
            [ck.TopicPartition(self._topic, number, start) for number, start in starts.items()]
        )

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                for message in arrived(self._consumer, POLL_SECONDS, BATCH_RECORDS):
                    self._look_at(message)
        except KafkaBridgeError as error:
            _log.error("Reading topic %s stopped: %s", self._topic, error)
            self._end(error)
        except BaseException as error:
            _log.exception("Reading topic %s stopped because of a bug", self._topic)
            self._end(ReaderClosed(f"reading topic {self._topic!r} stopped: {error!r}"))

    def _end(self, failure: KafkaBridgeError) -> None:
        with self._moved:
            self._failure = failure
            self._moved.notify_all()
        self._failed()

    def _look_at(self, message: ck.Message) -> None:
        error, offset = message.error(), message.offset()
        if error is None:
            self._take(Record.of(message))
            self._note(message.partition(), offset + 1)  # type: ignore[operator]
        elif error.code() == PARTITION_END:
            self._note(message.partition(), offset)
        elif is_unreadable(error):
            if (skipped := self._unreadable.skip(self._consumer, message)) is not None:
                self._note(skipped.partition, skipped.end)
                self._skipped(skipped)
        elif ends_reading(error):
            raise translate(
                error,
                doing=f"reading topic {self._topic!r}",
                servers=self._config.bootstrap_servers,
                topic=self._topic,
            )

    def _note(self, partition: int | None, offset: int | None) -> None:
        if partition is not None and offset is not None:
            with self._moved:
                self._reached[partition] = offset
                self._moved.notify_all()
