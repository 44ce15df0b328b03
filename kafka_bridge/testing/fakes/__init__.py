"""Fakes for unit tests: a clock, Kafka clients and a task state that a test drives by hand.

No fake connects to anything or starts a thread. :class:`FakeConsumer` and :class:`FakeProducer`
replace confluent_kafka's clients; :class:`FakeRecordProducer` replaces the bridge's own producer,
which is what most tests want.
"""

from __future__ import annotations

from kafka_bridge.testing.fakes.clock import FakeClock
from kafka_bridge.testing.fakes.consumer import FakeConsumer
from kafka_bridge.testing.fakes.metadata import topic_metadata
from kafka_bridge.testing.fakes.producer import FakeProducer
from kafka_bridge.testing.fakes.record_producer import FakeRecordProducer
from kafka_bridge.testing.fakes.sent import SentRecord

__all__ = [
    "FakeClock",
    "FakeConsumer",
    "FakeProducer",
    "FakeRecordProducer",
    "SentRecord",
    "topic_metadata",
]
