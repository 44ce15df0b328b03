"""Batches that librdkafka refuses to unpack, as anybody who may write to a topic can send them."""

from __future__ import annotations

import confluent_kafka as ck

from integration.jobs import WAIT_SECONDS

RECORD_BYTES = 120_000_000
"""More than 100 MB, librdkafka's limit; 4 KB when compressed."""


def publish_unreadable(servers: str, topic: str, *, partitions: int = 1, records: int = 1) -> None:
    """Publish a batch of zeros that no consumer with default settings can unpack.

    :param partitions: it goes to each of so many
    :param records: how many records it has; they share the size
    """
    producer = ck.Producer(
        {
            "bootstrap.servers": servers,
            "compression.type": "zstd",
            "message.max.bytes": 900_000_000,
            "batch.size": 900_000_000,
            "linger.ms": 2_000,  # until the flush: all records get into one batch
            "queue.buffering.max.kbytes": 1_000_000,
        }
    )
    for number in range(partitions * records):
        producer.produce(topic, bytes(RECORD_BYTES // records), partition=number % partitions)
    assert producer.flush(WAIT_SECONDS) == 0
