"""Asking where a topic ends while its brokers are not of one mind."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import offsets
from kafka_bridge.kafka.clients import ConnectionWatch
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import DeliveryFailed, RecordLocation, TopicNotFound
from kafka_bridge.testing.fakes import FakeClock, FakeConsumer
from kafka_bridge.testing.fakes.clock import START

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})


class Admin:
    """Knows of a topic with two partitions; the first questions about their ends fail."""

    def __init__(self, *failures: int) -> None:
        self._failures = list(failures)
        self.connection_watch = ConnectionWatch({}, None)

    def list_topics(self, topic: str, **_: float) -> Any:
        """Return the topic's two partitions."""
        found = SimpleNamespace(error=None, partitions={0: None, 1: None})
        return SimpleNamespace(topics={topic: found})

    def list_offsets(self, asked: dict[ck.TopicPartition, Any], **_: float) -> Any:
        """Fail, or say that each partition ends at ten times its number."""
        failure = self._failures.pop(0) if self._failures else None
        answers: dict[ck.TopicPartition, Future[Any]] = {}
        for each in asked:
            answers[each] = Future()
            if failure is None:
                answers[each].set_result(SimpleNamespace(offset=each.partition * 10))
            else:
                answers[each].set_exception(ck.KafkaException(ck.KafkaError(failure)))
        return answers


def ends(monkeypatch: pytest.MonkeyPatch, *failures: int) -> list[int]:
    """Ask where a topic ends, of brokers that fail so at first."""
    monkeypatch.setattr(offsets, "make", lambda *_: Admin(*failures))
    monkeypatch.setattr(offsets, "RETRY_SECONDS", 0.001)
    return offsets.end_offsets(CONFIG, ["a.topic"], 5.0)["a.topic"]


@pytest.mark.parametrize(
    "code",
    [
        ck.KafkaError.NOT_LEADER_FOR_PARTITION,
        ck.KafkaError.LEADER_NOT_AVAILABLE,
        ck.KafkaError._NOENT,
        ck.KafkaError.FENCED_LEADER_EPOCH,
        ck.KafkaError.UNKNOWN_LEADER_EPOCH,
    ],
)
def test_change_of_leaders_is_retried(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A broker that has just started does not know yet what the client knows: asked again."""
    assert ends(monkeypatch, code, code) == [0, 10]


def test_record_that_is_there_is_read_without_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its topic exists is asked only where nothing comes."""
    client = FakeConsumer("t")
    monkeypatch.setattr(client, "list_topics", lambda *_, **__: pytest.fail("a question"))
    monkeypatch.setattr(offsets, "make", client.make)
    client.add_record(b"result")
    assert offsets.read_record(CONFIG, RecordLocation("t", 0, 0), 5.0).value == b"result"
    assert client.closed


def test_record_of_a_topic_that_is_not_there_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The brokers are asked after half a second of silence, not when the time is over."""
    clock = FakeClock()
    client = FakeConsumer("another", clock=clock)
    monkeypatch.setattr(offsets, "make", client.make)
    monkeypatch.setattr(offsets, "time", clock)
    with pytest.raises(TopicNotFound, match="topic 't' does not exist"):
        offsets.read_record(CONFIG, RecordLocation("t", 0, 0), 30.0)
    assert clock.now - START == offsets.SILENCE_SECONDS


def test_other_failures_are_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was asked in the words."""
    with pytest.raises(DeliveryFailed, match=r"while asking where topic 'a\.topic' ends"):
        ends(monkeypatch, ck.KafkaError.INVALID_REQUEST)
