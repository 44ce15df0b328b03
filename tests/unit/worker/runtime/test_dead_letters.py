"""Dead letters: what becomes of them while Kafka does not take them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import AccessDenied, RecordLocation, RecordTooLarge
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime import dead_letters as module
from kafka_bridge.worker.runtime.dead_letters import DeadLetters

if TYPE_CHECKING:
    from conftest import Eventually

Delivered = Callable[[Exception | None], None]


class Brokers:
    """Take dead letters, or refuse them."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.tries = 0
        self.taken: list[tuple[bytes | None, Headers]] = []
        self.largest = 1_000_000

    def deliver(
        self,
        _topic: str,
        _key: bytes | None,
        value: bytes | None,
        headers: Headers,
        delivered: Delivered,
    ) -> None:
        """Take a record, or say why not."""
        self.tries += 1
        error = self.error
        if sum(map(len, [value or b"", *(each or b"" for _, each in headers)])) > self.largest:
            error = RecordTooLarge("too large")
        if error is None:
            self.taken.append((value, headers))
        delivered(error)


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    """Give brokers; what they refuse is tried again after 20 ms, then less often."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(module, "LONGEST_RETRY_SECONDS", 0.1)
    return Brokers()


def set_aside(
    brokers: Brokers, count: int, headers: Headers | None = None
) -> tuple[DeadLetters, list[int]]:
    """Set aside so many requests; return what does it, and the list of those that are done."""
    letters, done = DeadLetters(brokers, "dead", "w-1", Observer()), []
    for offset in range(count):
        record = Record(RecordLocation("q", 0, offset), None, b"junk", headers or [], 0)
        letters.write(record, ValueError("junk"), lambda offset=offset: done.append(offset))  # type: ignore[misc]
    return letters, done


def test_missing_permission_costs_few_retries_and_loses_nothing(
    brokers: Brokers, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    """One of those that wait is tried, less and less often; the others follow once it is taken."""
    brokers.error = AccessDenied("no Write on dead")
    letters, done = set_aside(brokers, 500)
    threads = [each for each in threading.enumerate() if "dead-letters" in each.name]
    assert len(threads) == 1
    eventually(lambda: brokers.tries >= 503, "some are tried again")
    assert brokers.tries < 520
    assert done == []
    assert len(caplog.messages) < 50
    assert any("Retrying in" in line and "no Write on dead" in line for line in caplog.messages)
    brokers.error = None
    eventually(lambda: len(done) == 500, "all are taken")
    assert not letters.is_full


def test_worker_stops_consuming_when_too_many_are_unsent(
    brokers: Brokers, eventually: Eventually
) -> None:
    """It takes no more requests before they are written: memory has an end."""
    brokers.error = AccessDenied("no Write on dead")
    letters, done = set_aside(brokers, module.MAX_UNSENT)
    assert letters.is_full
    brokers.error = None
    eventually(lambda: len(done) == module.MAX_UNSENT, "all are taken")
    assert not letters.is_full


def test_letter_that_is_too_large_shrinks(brokers: Brokers) -> None:
    """First its value goes, then its own headers; what the bridge adds says where it lies."""
    brokers.largest = 1_000
    _, done = set_aside(brokers, 1, [("theirs", b"x" * 2_000)])
    assert done == [0]
    ((value, headers),) = brokers.taken
    assert value is None
    assert "theirs" not in dict(headers)
    assert dict(headers)["kafka_dlt-original-topic"] == b"q"
