"""A follower of a topic, with a scripted client."""

from __future__ import annotations

import threading
from collections.abc import Callable

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import follower as follower_module
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.follower import TopicFollower
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import AccessDenied, BrokerUnreachable, ReaderClosed
from kafka_bridge.testing.fakes import FakeConsumer

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})
WAIT_SECONDS = 10


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    """Give the client that the follower under test gets."""
    client = FakeConsumer("control", partitions=2)
    monkeypatch.setattr(follower_module, "make", client.make)
    return client


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the ends of the topic's partitions, to be changed."""
    ends = [0, 0]
    monkeypatch.setattr(
        follower_module, "end_offsets", lambda _, topics, __: {topics[0]: list(ends)}
    )
    return ends


def follow(
    take: Callable[[Record], None], failed: Callable[[], None] = lambda: None
) -> TopicFollower:
    """Return a follower that shows each record to ``take``."""
    return TopicFollower(CONFIG, "control", "test", take, timeout=WAIT_SECONDS, failed=failed)


def test_catching_up_waits_for_all_that_is_in_the_topic(
    client: FakeConsumer, ends: list[int]
) -> None:
    """A record, or the note that a partition has ended, shows how far it was read."""
    seen: list[bytes | None] = []
    follower = follow(lambda record: seen.append(record.value))
    ends[:] = [2, 5]
    client.add_record(b"1")
    client.add_record(b"2")
    client.add_end(1, 5)
    follower.catch_up(WAIT_SECONDS)
    follower.close()
    assert seen == [b"1", b"2"]
    assert client.closed


def test_catching_up_times_out_where_records_do_not_come(
    client: FakeConsumer, ends: list[int]
) -> None:
    """The error names the topic and the timeout."""
    assert client is not None
    follower = follow(print)
    ends[0] = 1
    with pytest.raises(BrokerUnreachable, match=r"'control' was not read to its end within 0\.05"):
        follower.catch_up(0.05)
    follower.close()


def test_new_partition_is_read_too(client: FakeConsumer, ends: list[int]) -> None:
    """It is noticed when somebody catches up."""
    seen: list[Record] = []
    follower = follow(seen.append)
    ends.append(1)
    client.add_record(b"new", partition=2)
    follower.catch_up(WAIT_SECONDS)
    follower.close()
    assert [each.location.partition for each in seen] == [2]
    assert {each.partition for each in client.assignment()} == {0, 1, 2}


@pytest.mark.parametrize("is_a_bug", [False, True])
def test_failure_ends_the_follower_and_is_raised_by_check(
    client: FakeConsumer, ends: list[int], is_a_bug: bool
) -> None:
    """Nobody waits for a topic that is no longer read."""
    assert ends == [0, 0]
    has_failed = threading.Event()

    def take(_: Record) -> None:
        raise RuntimeError("a bug")

    follower = follow(take, has_failed.set)
    if is_a_bug:
        client.add_record(b"x")
    else:
        client.add_error(ck.KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert has_failed.wait(WAIT_SECONDS)
    with pytest.raises(ReaderClosed if is_a_bug else AccessDenied):
        follower.check()
    follower.close()
