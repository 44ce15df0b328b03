"""What a worker believes of the metadata that it finds beside a committed offset."""

from __future__ import annotations

import pytest

from kafka_bridge.kafka import offsets
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.consumer import Position
from kafka_bridge.kafka.finished_runs import ConsumedRecord, FinishedRuns, to_metadata
from kafka_bridge.testing.fakes.clock import FakeClock
from kafka_bridge.testing.fakes.consumer import FakeConsumer
from kafka_bridge.worker.runtime.earlier_commits import finished_above

CONFIG = KafkaConfig({"bootstrap.servers": "nobody"})
TIME = 1_700_000_000_000
FINISHED = FinishedRuns(((3, 4_003),), ConsumedRecord.of(5_000, b"a-job", TIME))
COMMITTED = Position(2, to_metadata(2, FINISHED))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    """Give the client that reads the last records."""
    clock = FakeClock()
    client = FakeConsumer("requests", partitions=2, clock=clock)
    monkeypatch.setattr(offsets, "make", client.make)
    monkeypatch.setattr(offsets, "time", clock)
    return client


def test_metadata_counts_where_the_last_record_is_still_there(client: FakeConsumer) -> None:
    """Its offsets stand for the records that its writer has consumed."""
    client.add_record(b"", b"a-job", offset=5_000, timestamp_ms=TIME)
    assert finished_above({0: COMMITTED}, CONFIG, "requests") == {0: FINISHED}
    assert client.closed


def test_metadata_does_not_count_for_other_records(
    client: FakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    """The topic was created again: the requests are read, and the ledger decides."""
    client.add_record(b"", b"another", offset=5_000, timestamp_ms=TIME)
    client.add_end(partition=1, offset=4_000)
    assert finished_above({0: COMMITTED, 1: COMMITTED}, CONFIG, "requests") == {}
    assert caplog.text.count("are read again") == 2


def test_metadata_does_not_count_where_no_broker_answers(client: FakeConsumer) -> None:
    """The worker does not wait for long: to read everything is right, too."""
    assert finished_above({0: COMMITTED}, CONFIG, "requests") == {}
    assert client.closed


def test_nothing_is_read_where_little_is_finished(client: FakeConsumer) -> None:
    """To skip a few requests by the ledger takes less time."""
    little = FinishedRuns(((3, 1_002),), ConsumedRecord.of(5_000, b"a-job", TIME))
    client.add_record(b"", b"a-job", offset=5_000, timestamp_ms=TIME)
    assert finished_above({0: Position(2, to_metadata(2, little))}, CONFIG, "requests") == {}
    assert client.settings == {}


def test_nothing_is_read_without_metadata(client: FakeConsumer) -> None:
    """As with workers in other languages."""
    assert finished_above({0: Position(7), 1: Position(7, "a note")}, CONFIG, "requests") == {}
    assert client.settings == {}
