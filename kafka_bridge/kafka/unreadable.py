"""Skip batches that librdkafka cannot unpack.

A batch of a few kilobytes may unpack to hundreds of megabytes. The broker takes it; librdkafka
refuses what exceeds ``receive.message.max.bytes`` (100 MB) and fetches the same batch again, twice
a second and for ever: every record behind it is unreachable. It reports an error with the batch's
first offset each time (``rdkafka_msgset_reader.c``), which is an exact sign: an open transaction, a
slow or absent broker and a paused partition produce no such error.

What it does not report is the batch's last offset, and a position inside the batch fetches the same
batch. So the end is searched for with a consumer of its own: a position is inside as long as the
same error comes. One probe costs some 40 ms; a batch of n records takes about 2 log2(n) of them.
Batches of the same kind that follow directly are skipped in the same pass.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import confluent_kafka as ck

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import PARTITION_END, ends_reading, translate
from kafka_bridge.protocol.errors import BrokerUnreachable
from kafka_bridge.protocol.sanitize import one_line

_log = bounded_logger(__name__)

PROBE_SECONDS = 10.0
"""How long a probe waits for an answer; a fetch takes milliseconds."""
SEARCH_SECONDS = 60.0
"""How long one search goes on; what it has found by then is skipped, the rest is found next."""
RETRY_SECONDS = 5.0
"""How long to wait after a search that failed."""
REPEATED_ERRORS = 5
"""How often an error that may pass must come, 0.5 s apart, until its batch is given up."""

_BAD_COMPRESSION = ck.KafkaError._BAD_COMPRESSION  # noqa: SLF001  local codes begin so
_OUT_OF_RANGE = frozenset(
    {ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001
)
_ERRORS_BEFORE_SKIP = {
    _BAD_COMPRESSION: 1,
    ck.KafkaError._BAD_MSG: REPEATED_ERRORS,  # noqa: SLF001  a checksum that does not fit
    ck.KafkaError._CRIT_SYS_RESOURCE: REPEATED_ERRORS,  # noqa: SLF001  no memory to unpack it
}


@dataclass(frozen=True, slots=True)
class SkippedBatches:
    """A range of offsets that cannot be read: from ``first`` up to, not including, ``end``.

    ``batches`` is how many batches it spans, ``reason`` librdkafka's words about the first one.
    """

    topic: str
    partition: int
    first: int
    end: int
    batches: int
    reason: str

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] offsets {self.first} to {self.end - 1}"

    @property
    def offsets(self) -> int:
        """How many offsets are skipped: at most so many records are lost."""
        return self.end - self.first


def is_unreadable(error: ck.KafkaError) -> bool:
    """Return whether an error on a consumer's queue is about a batch that cannot be unpacked."""
    return error.code() in _ERRORS_BEFORE_SKIP


class UnreadableBatches:
    """Finds the way past unreadable batches for one consumer of a topic. For one thread.

    The search runs on a thread of its own, so that the consumer is polled meanwhile. The consumer
    goes on behind the batch when the next error of the same batch comes: by then everything before
    the batch has been delivered, whatever was assigned or revoked during the search.

    :param config: how to reach Kafka
    :param topic: the topic that the consumer reads
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._config = config
        self._topic = topic
        self._errors: dict[tuple[int, int], int] = {}
        self._found: dict[tuple[int, int], SkippedBatches] = {}
        self._searching: set[tuple[int, int]] = set()
        self._not_before = 0.0

    def skip(self, consumer: ck.Consumer, message: ck.Message) -> SkippedBatches | None:
        """Let the consumer go on behind an unreadable batch, once its end is known.

        The first error of a batch is logged, and so is the skip.

        :param message: has an error for which :func:`is_unreadable`
        :return: what was skipped; None while the end is being looked for
        """
        batch = message.partition() or 0, message.offset() or 0
        if (found := self._found.pop(batch, None)) is not None:
            self._errors.pop(batch, None)
            return found if self._seek(consumer, found) else None
        error = message.error()
        assert error is not None  # noqa: S101  a programming error
        self._errors[batch] = self._errors.get(batch, 0) + 1
        if self._errors[batch] == 1:
            _log.error(
                "%s[%d]: the batch at offset %d cannot be read and blocks the partition: %s. "
                "Looking for its end",
                *(self._topic, *batch, _reason(error)),
            )
        if self._errors[batch] >= _ERRORS_BEFORE_SKIP[error.code()] and self._may_search(batch):
            self._start_search(batch, error)
        return None

    def skip_all(
        self, consumer: ck.Consumer, messages: Iterable[ck.Message]
    ) -> Iterator[SkippedBatches]:
        """Do as :meth:`skip` for those of the messages that are about unreadable batches."""
        for message in messages:
            error = message.error()
            if error is None or not is_unreadable(error):
                continue
            if (skipped := self.skip(consumer, message)) is not None:
                yield skipped

    def _may_search(self, batch: tuple[int, int]) -> bool:
        return batch not in self._searching and time.monotonic() >= self._not_before

    def _start_search(self, batch: tuple[int, int], error: ck.KafkaError) -> None:
        self._searching.add(batch)
        threading.Thread(
            target=self._search,
            args=(batch, _reason(error)),
            name="kafka-bridge-unreadable",
            daemon=True,
        ).start()

    def _search(self, batch: tuple[int, int], reason: str) -> None:
        try:
            end, batches = find_end(self._config, self._topic, *batch)
            self._found[batch] = SkippedBatches(self._topic, *batch, end, batches, reason)
        except Exception:  # the next error starts another search
            _log.exception(
                "%s[%d]: finding the end of the unreadable batch at offset %d failed; "
                "retrying in %g s",
                *(self._topic, *batch, RETRY_SECONDS),
            )
            self._not_before = time.monotonic() + RETRY_SECONDS
        finally:
            self._searching.discard(batch)

    def _seek(self, consumer: ck.Consumer, skipped: SkippedBatches) -> bool:
        try:
            consumer.seek(ck.TopicPartition(self._topic, skipped.partition, skipped.end))
        except ck.KafkaException:
            return False  # the partition has just been revoked: its new owner will skip the batch
        _log.error(
            "Skipped %s: %d unreadable batch(es), at most %d records are lost (%s). "
            "Find the program that writes them; `kafka-bridge topics check` shows how the topic "
            "can refuse such batches",
            *(skipped, skipped.batches, skipped.offsets, skipped.reason),
        )
        return True


def _reason(error: ck.KafkaError) -> str:
    return one_line(error.str(), 300)


def find_end(config: KafkaConfig, topic: str, partition: int, first: int) -> tuple[int, int]:
    """Return the first offset behind an unreadable batch and those that follow it directly.

    Also returns how many batches lie before that offset. Takes up to :data:`SEARCH_SECONDS`, and
    longer only to finish the first batch.

    :param first: the offset at which the batch begins
    :raises KafkaError: Kafka does not answer
    """
    deadline = time.monotonic() + SEARCH_SECONDS
    batches, end = 0, first
    following: int | None = first
    with contextlib.closing(_Probe(config, topic, partition)) as probe:
        while following is not None:
            end = probe.end_of(following)
            batches += 1
            following = None if time.monotonic() > deadline else probe.unreadable_at(end)
    return end, batches


class _Probe:
    """Asks what lies at an offset of a partition, with a consumer of its own."""

    def __init__(self, config: KafkaConfig, topic: str, partition: int) -> None:
        self._topic, self._partition = topic, partition
        self._servers = config.bootstrap_servers
        self._consumer = make(
            ck.Consumer,
            {
                **config.reader_to_end("unreadable"),
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_uncommitted",  # an open transaction answers nothing
                "fetch.error.backoff.ms": 10,
                "fetch.message.max.bytes": 1,  # one batch for each fetch
            },
        )
        self._known: tuple[int, int | None] | None = None

    def close(self) -> None:
        self._consumer.close()

    def end_of(self, first: int) -> int:
        """Return the first offset behind the unreadable batch that begins at ``first``."""
        inside, step = first, 1
        while self.unreadable_at(first + step) == first:
            inside, step = first + step, step * 2
        outside = first + step
        while outside - inside > 1:
            middle = (inside + outside) // 2
            if self.unreadable_at(middle) == first:
                inside = middle
            else:
                outside = middle
        return outside

    def unreadable_at(self, offset: int) -> int | None:
        """Return the first offset of the unreadable batch that contains an offset, or None."""
        if self._known is None or self._known[0] != offset:
            self._known = offset, self._ask(offset)
        return self._known[1]

    def _ask(self, offset: int) -> int | None:
        self._consumer.assign([ck.TopicPartition(self._topic, self._partition, offset)])
        deadline = time.monotonic() + PROBE_SECONDS
        while time.monotonic() < deadline:
            message = self._consumer.poll(0.1)
            if message is None:
                continue
            error = message.error()
            if error is None or error.code() == PARTITION_END or error.code() in _OUT_OF_RANGE:
                return None
            if is_unreadable(error):
                return message.offset()
            if ends_reading(error):
                raise translate(
                    error,
                    doing=f"looking for the end of an unreadable batch in {self._topic!r}",
                    servers=self._servers,
                    topic=self._topic,
                )
        raise BrokerUnreachable(
            f"{self._topic}[{self._partition}]@{offset} was not answered within {PROBE_SECONDS:g} s"
        )
