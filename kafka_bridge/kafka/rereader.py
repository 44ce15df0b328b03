"""Read skipped requests again, beside the consumer that is a member of the group."""

from __future__ import annotations

from collections import deque

import confluent_kafka as ck

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import PARTITION_END, ends_reading, translate
from kafka_bridge.kafka.records import Received, arrived
from kafka_bridge.kafka.unreadable import UnreadableBatches, is_unreadable

BATCH_RECORDS = 200
QUEUE_KB = 4096
"""How much is fetched ahead: it is wanted in small pieces."""


class RequestRereader:
    """Reads one partition of a topic at a time. For one thread only; connects when it is needed.

    :ivar end: where the partition ended, once it was read to its end; None before that
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._config = config
        self._topic = topic
        self._unreadable = UnreadableBatches(config, topic)
        self._consumer: ck.Consumer | None = None
        self.end: int | None = None

    def start(self, partition: int, offset: int) -> None:
        """Read a partition from an offset on, and no longer the one before."""
        if self._consumer is None:
            settings = {
                **self._config.reader("requests"),
                "queued.max.messages.kbytes": QUEUE_KB,
                "enable.partition.eof": True,
            }
            self._consumer = make(ck.Consumer, settings)
        self.end = None
        self._consumer.assign([ck.TopicPartition(self._topic, partition, offset)])

    def poll(self) -> list[Received]:
        """Return the records that are there.

        :raises KafkaError: something failed that does not heal by itself
        """
        if self._consumer is None:
            return []
        records = []
        batch = arrived(self._consumer, 0, BATCH_RECORDS)
        for message in batch:
            error = message.error()
            if error is None:
                records.append(Received(message))
            elif error.code() == PARTITION_END:
                self.end = message.offset()
            elif not is_unreadable(error) and ends_reading(error):
                raise translate(
                    error,
                    doing=f"reading topic {self._topic!r}",
                    servers=self._config.bootstrap_servers,
                    topic=self._topic,
                )
        # Unreadable batches were counted when the group's consumer skipped them.
        deque(self._unreadable.skip_all(self._consumer, batch), maxlen=0)
        return records

    def stop(self) -> None:
        """Read nothing until started again."""
        if self._consumer is not None:
            self._consumer.unassign()

    def close(self) -> None:
        """Close the connections."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
