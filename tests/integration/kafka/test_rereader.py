"""Skipped requests are read again, as long as they exist."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from integration.jobs import WAIT_SECONDS
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.rereader import RequestRereader

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory


def test_re_read_of_deleted_records_ends(
    topics: TopicFactory, producer: RecordProducer, config: KafkaConfig, eventually: Eventually
) -> None:
    """The reader must not wait for deleted records."""
    topic = topics(partitions=1)
    for number in range(3):
        producer.publish(topic, b"key", b"%d" % number, [])
    with contextlib.closing(RequestRereader(config, topic)) as rereader:
        rereader.start(0, 1)
        read: list[int] = []

        def is_at_end() -> bool:
            read.extend(each.offset for each in rereader.poll())
            return rereader.end is not None

        eventually(is_at_end, "the end is reached")
        assert (read, rereader.end) == ([1, 2], 3)
        admin = AdminClient(config.admin())
        (deleted,) = admin.delete_records([ck.TopicPartition(topic, 0, 3)]).values()
        assert deleted.result(WAIT_SECONDS).low_watermark == 3
        rereader.start(0, 1)
        assert not is_at_end()
        eventually(is_at_end, "the end is reached again")
        assert (read, rereader.end) == ([1, 2], 3)
