"""Whether a record fits, checked with a real Kafka before anything is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS, config_of
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.sizes import require_fitting
from kafka_bridge.protocol.errors import RecordTooLarge
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory


def check(config: KafkaConfig, topic: str, size: int) -> None:
    """Ask."""
    require_fitting(config, topic, size, WAIT_SECONDS)


def test_record_above_the_topics_limit_is_refused(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """The error of a topic with a lower limit than the producer has that limit."""
    topic = topics(config={"max.message.bytes": "60000"})
    config = config_of(real_broker.bootstrap_servers)
    check(config, topic, 60_000)
    with pytest.raises(RecordTooLarge) as caught:
        check(config, topic, 60_001)
    assert str(caught.value).startswith(
        f"a record of 60,001 bytes is too large for topic '{topic}': "
        "the topic's 'max.message.bytes' is 60,000. Put large data elsewhere"
    )


def test_compressed_record_is_not_refused_beforehand(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """Its size is known only after compression."""
    topic = topics(config={"max.message.bytes": "60000"})
    check(config_of(real_broker.bootstrap_servers, compression_type="gzip"), topic, 600_000)


def test_both_limits_must_be_raised(real_broker: Broker, topics: TopicFactory) -> None:
    """With one of them raised, the error names the other."""
    config = config_of(real_broker.bootstrap_servers, message_max_bytes=3_000_000)
    check(config, topics(config={"max.message.bytes": "3000000"}), 2_500_000)
    with pytest.raises(RecordTooLarge, match=r"the topic's 'max.message.bytes' is 1,0"):
        check(config, topics(), 2_500_000)


def test_record_is_checked_with_the_producers_limit_alone_without_an_answer() -> None:
    """Nothing else is refused."""
    config = config_of("127.0.0.1:9")
    require_fitting(config, "q", 900_000, 0.5)
    with pytest.raises(RecordTooLarge, match=r"the producer's 'message.max.bytes' is 1,000,000"):
        require_fitting(config, "q", 1_000_001, 0.5)
