"""Callbacks are published to Kafka; the producer fails as a test scripts it."""

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
    """A fake producer. ``fatal``: its fatal error; ``error``: why a record is not delivered."""

    made: list[Producer]

    def __init__(self, _config: KafkaConfig, _timeout: float) -> None:
        self.fatal: Exception | None = None
        self.error: Exception | None = None
        self.holds = False
        self.sent: list[bytes] = []
        self.held: list[Callable[[Exception | None], None]] = []
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
        """Publish a record."""
        self.sent.append(value)
        if self.holds:
            self.held.append(delivered)
        else:
            delivered(self.error)

    def check(self) -> None:
        """Raise the fatal error, if there is one."""
        if self.fatal is not None:
            raise self.fatal

    def close(self) -> None:
        """Close."""
        self.is_closed = True


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> CallbackPublisher:
    """Give a publisher; its producers are in ``Producer.made``."""
    Producer.made = []
    monkeypatch.setattr(module, "RecordProducer", Producer)
    return CallbackPublisher(CONFIG, "callbacks")


async def test_temporary_failure_affects_one_callback(publisher: CallbackPublisher) -> None:
    """A callback that Kafka does not accept fails, and the next one is published."""
    (producer,) = Producer.made
    producer.error = BrokerUnreachable("away")
    with pytest.raises(BrokerUnreachable, match="away"):
        await publisher.publish(JOB, b"{}", [])
    producer.error = None
    await publisher.publish(JOB, b"{}", [])
    assert Producer.made == [producer]


async def test_producer_with_a_fatal_error_is_replaced_once(publisher: CallbackPublisher) -> None:
    """By the first of several callbacks that fail."""
    (failed,) = Producer.made
    failed.error, failed.fatal = DeliveryFailed("fatal"), DeliveryFailed("fatal")
    results = await asyncio.gather(
        *(publisher.publish(JOB, b"{}", []) for _ in range(3)), return_exceptions=True
    )
    assert [str(each) for each in results] == ["fatal"] * 3
    await publisher.publish(JOB, b'{"again": 1}', [])
    assert failed.is_closed
    assert [each.sent for each in Producer.made] == [[b"{}"] * 3, [b'{"again": 1}']]


async def test_callbacks_in_flight_are_limited(publisher: CallbackPublisher) -> None:
    """While Kafka is away, callbacks do not fill the memory: those over the limit are refused.

    A cancelled request does not make room, because its record is still in flight. An
    acknowledgement does.
    """
    (producer,) = Producer.made
    producer.holds = True
    body = bytes(MAX_IN_FLIGHT_BYTES // 4)
    waiting = [asyncio.create_task(publisher.publish(JOB, body, [])) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    with pytest.raises(DeliveryFailed, match="bytes of callbacks are waiting for Kafka"):
        await publisher.publish(JOB, body, [])
    assert len(producer.held) == 3
    for delivered in producer.held:
        delivered(None)
    await asyncio.gather(*waiting[1:])
    producer.holds = False
    await publisher.publish(JOB, body, [])
