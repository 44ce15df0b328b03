"""What all probes of a stage share."""

from __future__ import annotations

from dataclasses import dataclass

from kafka_bridge.conformance.patience import Patience
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.testing.brokers.base import Broker


@dataclass(frozen=True, slots=True)
class Setup:
    """What all probes of a stage share.

    :ivar config: how the kit reaches Kafka
    :ivar names: the topics
    :ivar group: the worker's consumer group
    :ivar broker: the broker that the kit has started; None for another one
    """

    config: KafkaConfig
    names: TopicNames
    group: str
    encoding: Encoding
    patience: Patience
    broker: Broker | None = None
