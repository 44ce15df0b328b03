"""Callbacks on their way to Kafka, by a producer that fails as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kafka_bridge.gateway.callbacks import publisher as module
from kafka_bridge.gateway.callbacks.publisher import MAX_IN_FLIGHT_BYTES, CallbackPublisher
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import BrokerUnreachable, DeliveryFailed
from kafka_bridge.protocol.headers import Headers
from unit.gateway.callbacks.conftest import JOB

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:1"})


class Producer:
    """Stands in for a producer. ``given_up``: why librdkafka has; ``error``: why it fails."""

    made: list[Producer]

    def __init__(self, _config: KafkaConfig, _timeout: float) -> None:
        self.given_up: Exception | None = None
        self.error: Exception | None = None
        self.holds_back = False
        self.sent: list[bytes] = []
        self.held_back: list[Callable[[Exception | None], None]] = []
        self.is_closed = False
        self.made.append(self)

    def deliver(
        self,
        _topic: str,
        _key: bytes,
        value: bytes,
        _headers: Headers,
        delivered: Callable[[Exception | None], None],
    ) -> None:
        """Take a record."""
        self.sent.append(value)
        if self.holds_back:
            self.held_back.append(delivered)
        else:
            delivered(self.error)

    def check(self) -> None:
        """Raise where it has been given up."""
        if self.given_up is not None:
            raise self.given_up

    def close(self) -> None:
        """Close."""
        self.is_closed = True


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> CallbackPublisher:
    """Give a publisher; its producers are in ``Producer.made``."""
    Producer.made = []
    monkeypatch.setattr(module, "RecordProducer", Producer)
    return CallbackPublisher(CONFIG, "callbacks")


async def test_a_failure_that_passes(publisher: CallbackPublisher) -> None:
    """A callback that Kafka does not take fails, and the next one is sent all the same."""
    (producer,) = Producer.made
    producer.error = BrokerUnreachable("away")
    with pytest.raises(BrokerUnreachable, match="away"):
        await publisher.publish(JOB, b"{}", [])
    producer.error = None
    await publisher.publish(JOB, b"{}", [])
    assert Producer.made == [producer]


async def test_a_producer_that_librdkafka_gave_up(publisher: CallbackPublisher) -> None:
    """Where a producer is of no use any more, another one takes its place, once."""
    (useless,) = Producer.made
    useless.error, useless.given_up = DeliveryFailed("fatal"), DeliveryFailed("fatal")
    results = await asyncio.gather(
        *(publisher.publish(JOB, b"{}", []) for _ in range(3)), return_exceptions=True
    )
    assert [str(each) for each in results] == ["fatal"] * 3
    await publisher.publish(JOB, b'{"again": 1}', [])
    assert useless.is_closed
    assert [each.sent for each in Producer.made] == [[b"{}"] * 3, [b'{"again": 1}']]


async def test_no_more_on_its_way_than_fits(publisher: CallbackPublisher) -> None:
    """While Kafka is away callbacks do not fill the memory: what is too much is refused at once.

    That a sender no longer waits makes no room: the record waits on. That Kafka answers does.
    """
    (producer,) = Producer.made
    producer.holds_back = True
    body = bytes(MAX_IN_FLIGHT_BYTES // 4)
    waiting = [asyncio.create_task(publisher.publish(JOB, body, [])) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    with pytest.raises(DeliveryFailed, match="bytes of callbacks are waiting for Kafka"):
        await publisher.publish(JOB, body, [])
    assert len(producer.held_back) == 3
    for delivered in producer.held_back:
        delivered(None)
    await asyncio.gather(*waiting[1:])
    producer.holds_back = False
    await publisher.publish(JOB, body, [])
