"""The start of a worker: it waits for its brokers, and says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import AccessDenied, BrokerUnreachable, ConfigurationError
from kafka_bridge.worker.runtime import preflight
from kafka_bridge.worker.runtime.preflight import wait_for_brokers

CONFIG = KafkaConfig({"bootstrap.servers": "kafka:9092"})
SOURCE = "KAFKA_BRIDGE_BOOTSTRAP_SERVERS"

Script = Callable[[int], None]


class Brokers:
    """Answer the question for the brokers as a test says: ``script`` gets its number, from 1."""

    def __init__(self, script: Script) -> None:
        self.asked = 0
        self._script = script

    def count(self, _config: KafkaConfig, _timeout: float) -> int:
        """Return the number of brokers, or raise what the script raises."""
        self.asked += 1
        self._script(self.asked)
        return 1


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], Brokers]:
    """Give the maker of brokers; times are short."""
    monkeypatch.setattr(preflight, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(preflight, "REPEAT_SECONDS", 0.05)
    monkeypatch.setattr(preflight, "LOOK_SECONDS", 0.01)

    def make(script: Script) -> Brokers:
        found = Brokers(script)
        monkeypatch.setattr(preflight, "broker_count", found.count)
        return found

    return make


def wait(stopping: threading.Event | None = None) -> None:
    """Wait for the brokers."""
    wait_for_brokers(CONFIG, SOURCE, stopping or threading.Event())


def test_brokers_that_answer_are_not_logged(
    brokers: Callable[[Script], Brokers], caplog: pytest.LogCaptureFixture
) -> None:
    """The usual start says nothing."""
    with caplog.at_level(logging.INFO):
        brokers(lambda _: None)
        wait()
    assert caplog.messages == []


def test_wait_is_logged_again_and_again_until_a_broker_answers(
    brokers: Callable[[Script], Brokers], caplog: pytest.LogCaptureFixture
) -> None:
    """With the address, its source and the time; a time-out of one question is not the end."""
    lines = threading.Event()

    def script(number: int) -> None:
        if number < 3:
            raise BrokerUnreachable("silence")
        lines.wait(30)

    found = brokers(script)
    handler = _Counter(2, lines)
    preflight._log.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO):
            wait()
    finally:
        preflight._log.removeHandler(handler)
    words = "No Kafka broker at kafka:9092 has answered for 0 s (the address is from "
    assert [each.startswith(words + SOURCE) for each in caplog.messages[:2]] == [True, True]
    assert caplog.messages[-1] == "A Kafka broker answered after 0 s"
    assert found.asked == 3


@pytest.mark.parametrize("error", [AccessDenied("wrong password"), ConfigurationError("no such")])
def test_error_that_waiting_cannot_mend_ends_the_start(
    brokers: Callable[[Script], Brokers], error: Exception
) -> None:
    """Wrong credentials and misspelt properties pass to the caller."""

    def script(_: int) -> None:
        raise error

    brokers(script)
    with pytest.raises(type(error), match=str(error)):
        wait()


def test_stop_ends_the_wait_at_once(brokers: Callable[[Script], Brokers]) -> None:
    """Although the question to the brokers still blocks; it is not asked again."""
    asked, gate, stopping = threading.Event(), threading.Event(), threading.Event()

    def script(_: int) -> None:
        asked.set()
        gate.wait(30)
        raise BrokerUnreachable("silence")

    found = brokers(script)
    waiting = threading.Thread(target=wait, args=(stopping,))
    waiting.start()
    assert asked.wait(30)
    stopping.set()
    waiting.join(5)
    assert not waiting.is_alive()
    gate.set()
    for each in [t for t in threading.enumerate() if t.name == "kafka-bridge-start"]:
        each.join(30)
    assert found.asked == 1


class _Counter(logging.Handler):
    """Sets an event after a number of lines."""

    def __init__(self, lines: int, event: threading.Event) -> None:
        super().__init__()
        self._left = lines
        self._event = event

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        self._left -= 1
        if self._left == 0:
            self._event.set()
