"""A scan of a topic, with a scripted client and clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups import scan as scan_module
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.protocol.errors import AccessDenied, BrokerUnreachable
from kafka_bridge.testing.fakes import FakeClock, FakeConsumer

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    """Give the client that the scan gets."""
    clock = FakeClock()
    client = FakeConsumer("t", partitions=2, clock=clock)
    monkeypatch.setattr(scan_module, "make", client.make)
    monkeypatch.setattr(scan_module, "time", clock)
    return client


class Offsets:
    """What the brokers say of the topic: its records are those of the scripted client."""

    def __init__(self, client: FakeConsumer, ends: list[int]) -> None:
        self._client = client
        self._ends = ends

    def ends(self, *_: object) -> dict[str, list[int]]:
        """Return the ends that the test has set."""
        return {"t": self._ends}

    def firsts(self, topic: str, partitions: Iterable[int], _: float) -> dict[int, int]:
        """Return the first offset of each partition."""
        return {
            number: self._client.get_watermark_offsets(ck.TopicPartition(topic, number))[0]
            for number in partitions
        }

    def since(
        self, topic: str, partitions: Iterable[int], moment: datetime, _: float
    ) -> dict[int, int]:
        """Return the offset of the first record since a moment."""
        time = int(moment.timestamp() * 1000)
        asked = [ck.TopicPartition(topic, number, time) for number in partitions]
        return {each.partition: each.offset for each in self._client.offsets_for_times(asked)}


@pytest.fixture
def ends(client: FakeConsumer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the ends of the topic's partitions, to be changed."""
    ends = [0, 0]
    monkeypatch.setattr(scan_module, "TopicOffsets", lambda _: Offsets(client, ends))
    return ends


def values(start: datetime | Sequence[int] = ()) -> list[bytes | None]:
    """Return the values that a scan finds."""
    return [each.value() for batch in scan(CONFIG, "t", start, timeout=30) for each in batch]


def test_empty_topic_is_read_at_once(client: FakeConsumer, ends: list[int]) -> None:
    """It has no record to wait for."""
    assert ends == [0, 0]
    assert values() == []
    assert client.closed


def test_reading_stops_where_the_topic_ended_when_it_began(
    client: FakeConsumer, ends: list[int]
) -> None:
    """Later records, which a busy topic always has, are left out."""
    ends[:] = [2, 1]
    for value in (b"a", b"b", b"too late"):
        client.add_record(value)
    client.add_record(b"c", partition=1)
    assert values() == [b"a", b"b", b"c"]


def test_transaction_marker_at_the_end_is_not_waited_for(
    client: FakeConsumer, ends: list[int]
) -> None:
    """It takes an offset, and is no record: the note of the partition's end counts."""
    ends[0] = 2
    client.add_record(b"a")
    client.add_end(0, 2)
    assert values() == [b"a"]


def test_reading_starts_at_the_offsets_that_are_given(
    client: FakeConsumer, ends: list[int]
) -> None:
    """A partition without one is read from its beginning."""
    ends[:] = [9, 4]
    client.watermarks = {0: (0, 9), 1: (3, 4)}
    client.add_end(0, 9)
    client.add_end(1, 4)
    values([7])
    assert {each.partition: each.offset for each in client.assignment()} == {0: 7, 1: 3}


def test_reading_stops_before_the_offsets_that_are_given(
    client: FakeConsumer, ends: list[int]
) -> None:
    """Partitions without one, and those that end before it, are read to their end."""
    ends[:] = [3, 1]
    for value in (b"a", b"b", b"later"):
        client.add_record(value)
    client.add_record(b"c", partition=1)
    read = scan(CONFIG, "t", [], timeout=30, until=[2])
    assert [message.value() for batch in read for message in batch] == [b"a", b"b", b"c"]


def test_reading_starts_at_the_first_record_since_a_time(
    client: FakeConsumer, ends: list[int]
) -> None:
    """A partition without a younger record is not read."""
    ends[:] = [2, 1]
    client.add_record(b"old", timestamp_ms=NOON_MS - 1)
    client.add_record(b"young", timestamp_ms=NOON_MS)
    client.add_record(b"old", partition=1, timestamp_ms=NOON_MS - 1)
    list(scan(CONFIG, "t", NOON, timeout=30))
    assert {each.partition: each.offset for each in client.assignment()} == {0: 1}


def test_silence_of_the_brokers_is_an_error(client: FakeConsumer, ends: list[int]) -> None:
    """The error names the offsets that were not reached."""
    ends[:] = [1, 3]
    client.add_record(b"a")
    with pytest.raises(BrokerUnreachable, match=r"^t\[1\]@3 was not reached within 30 s"):
        values([0, 0])
    assert client.closed


def test_records_that_come_slowly_are_waited_for(client: FakeConsumer, ends: list[int]) -> None:
    """The timeout is for the silence between two records, not for the whole scan."""
    ends[0] = 3
    for value in (b"a", b"b", b"c"):
        client.add(*[None] * 200)  # 20 s of polls without a record
        client.add_record(value)
    assert values([0, 0]) == [b"a", b"b", b"c"]


def test_error_that_does_not_heal_is_raised(client: FakeConsumer, ends: list[int]) -> None:
    """Others are left to librdkafka."""
    ends[0] = 1
    client.add_error(ck.KafkaError._TRANSPORT)
    client.add_error(ck.KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(AccessDenied, match="reading topic 't'"):
        values([0, 0])
