"""A worker's consumer, with a scripted client: rebalances, errors, commits and pauses."""

from __future__ import annotations

import logging
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import consumer as consumer_module
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.consumer import Position, RequestConsumer
from kafka_bridge.protocol.errors import AccessDenied, TopicNotFound
from kafka_bridge.testing.fakes import FakeClock, FakeConsumer

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    """Give the client that the consumer under test gets."""
    client = FakeConsumer("requests", partitions=3, clock=FakeClock())
    monkeypatch.setattr(consumer_module, "make", client.make)
    return client


@pytest.fixture
def events() -> list[tuple[str, Any]]:
    """Give the list of what the consumer has called back, in order."""
    return []


@pytest.fixture
def consumer(client: FakeConsumer, events: list[tuple[str, Any]]) -> RequestConsumer:
    """Give a consumer with a scripted client."""
    assert client is not None

    def note(name: str) -> Any:
        return lambda value: events.append((name, value))

    return RequestConsumer(
        CONFIG,
        "requests",
        "group",
        assigned=note("assigned"),
        revoked=note("revoked"),
        lost=note("lost"),
        skipped=note("skipped"),
    )


def test_missing_topic_is_an_error_at_start(client: FakeConsumer) -> None:
    """A subscription to it would wait in silence."""
    client.partitions = {}
    with pytest.raises(TopicNotFound, match="'requests' does not exist"):
        RequestConsumer(
            CONFIG, "requests", "g", assigned=print, revoked=print, lost=print, skipped=print
        )


def test_rebalances_are_called_back_in_order(
    consumer: RequestConsumer, client: FakeConsumer, events: list[tuple[str, Any]]
) -> None:
    """A lost partition is told from a revoked one: it must not be committed any more."""
    client.add_assignment(0, 1, 2)
    client.add_revocation(1)
    client.add_loss(2)
    assert consumer.poll(0) == []
    assert events == [("assigned", [0, 1, 2]), ("revoked", [1]), ("lost", [2])]


def test_poll_returns_all_records_that_have_arrived(
    consumer: RequestConsumer, client: FakeConsumer
) -> None:
    """Also those after an error that heals by itself."""
    client.add_assignment(0)
    client.add_record(b"1")
    client.add_error(ck.KafkaError._TRANSPORT)
    client.add_record(b"2")
    assert [(each.offset, each.value) for each in consumer.poll(1)] == [(0, b"1"), (1, b"2")]


@pytest.mark.parametrize("by_callback", [False, True])
def test_error_that_does_not_heal_is_raised(
    consumer: RequestConsumer, client: FakeConsumer, by_callback: bool
) -> None:
    """Librdkafka reports it in a message, or by its callback."""
    code = ck.KafkaError.TOPIC_AUTHORIZATION_FAILED
    (client.add_client_error if by_callback else client.add_error)(code)
    with pytest.raises(AccessDenied, match="reading topic 'requests'"):
        [consumer.poll(0) for _ in range(2)]


def test_only_held_partitions_are_paused(consumer: RequestConsumer, client: FakeConsumer) -> None:
    """A partition that is no longer held is resumed."""
    client.add_assignment(0, 1, 2)
    consumer.poll(0)
    consumer.hold({0, 2})
    assert client.paused == {0, 2}
    consumer.hold({2})
    assert client.paused == {2}


def test_partition_that_was_revoked_is_neither_paused_nor_resumed(
    consumer: RequestConsumer, client: FakeConsumer
) -> None:
    """Librdkafka would raise for a partition that is not assigned."""
    client.add_assignment(0, 1)
    client.add_revocation(1)
    consumer.poll(0)
    consumer.hold({0, 1})
    assert client.paused == {0}


@pytest.mark.parametrize("waits", [False, True])
def test_failed_commit_is_logged_and_known_and_not_raised(
    consumer: RequestConsumer, client: FakeConsumer, caplog: pytest.LogCaptureFixture, waits: bool
) -> None:
    """What is not committed is delivered again, so no job is lost."""
    client.commit_error = ck.KafkaError.UNKNOWN_TOPIC_OR_PART
    consumer.commit({0: Position(7)}, wait=waits)
    consumer.poll(0)
    assert consumer.has_failed_to_commit()
    assert not consumer.has_failed_to_commit(), "it is reported once"
    assert "Committing offsets failed" in caplog.text


def test_failed_commit_during_a_rebalance_is_no_warning(
    consumer: RequestConsumer, client: FakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    """That is usual."""
    caplog.set_level(logging.WARNING)
    client.commit_error = ck.KafkaError.REBALANCE_IN_PROGRESS
    consumer.commit({0: Position(7)}, wait=True)
    assert consumer.has_failed_to_commit()
    assert caplog.text == ""


def test_commit_sends_each_partitions_offset(
    consumer: RequestConsumer, client: FakeConsumer
) -> None:
    """Nothing is sent where there is nothing to commit."""
    consumer.commit({})
    consumer.commit({0: Position(7), 2: Position(9)})
    assert client.commits == [{0: 7, 2: 9}]


def test_metadata_is_committed_and_read_again(
    consumer: RequestConsumer, client: FakeConsumer
) -> None:
    """What was never committed is not there; nor is what the brokers do not say in time."""
    consumer.commit({0: Position(7, "a note"), 2: Position(9)})
    assert consumer.committed([0, 1, 2]) == {0: Position(7, "a note"), 2: Position(9)}
    client.commit_error = ck.KafkaError.REQUEST_TIMED_OUT
    assert consumer.committed([0]) == {}


@pytest.mark.parametrize("waits", [False, True])
def test_metadata_that_brokers_refuse_does_not_prevent_commits(
    consumer: RequestConsumer, client: FakeConsumer, caplog: pytest.LogCaptureFixture, waits: bool
) -> None:
    """The offset counts: it is committed without, then and from now on. It is logged once."""
    client.most_metadata = 10
    for offset in (7, 8):
        position = {0: Position(offset, "more than ten")}
        consumer.commit(position, wait=waits)
        consumer.poll(0)
        if consumer.has_failed_to_commit():  # the worker commits again
            consumer.commit(position)
    assert client.commits == [{0: 7}, {0: 8}]
    assert consumer.committed([0]) == {0: Position(8)}
    assert caplog.text.count("offset.metadata.max.bytes") == 1


def test_seek_that_fails_is_left_alone(consumer: RequestConsumer, client: FakeConsumer) -> None:
    """The records that it would have passed arrive."""
    client.add_assignment(0)
    consumer.poll(0)
    consumer.seek(0, 20)
    assert client.position([ck.TopicPartition("requests", 0)])[0].offset == 20
    consumer.seek(1, 20)


def test_membership_is_confirmed_by_a_commit_that_succeeds(
    consumer: RequestConsumer, client: FakeConsumer
) -> None:
    """The first call only asks; an answer to an earlier doubt proves nothing."""
    assert not consumer.is_member({0: Position(7)}, doubt=1)
    consumer.poll(0)
    assert consumer.is_member({0: Position(7)}, doubt=1)
    assert not consumer.is_member({0: Position(7)}, doubt=2)
    client.commit_error = ck.KafkaError.UNKNOWN_MEMBER_ID
    consumer.poll(0)
    assert not consumer.is_member({0: Position(7)}, doubt=3)
    consumer.poll(0)
    assert not consumer.is_member({0: Position(7)}, doubt=3)


def test_closing_leaves_the_group_and_revokes_the_partitions(
    consumer: RequestConsumer, client: FakeConsumer, events: list[tuple[str, Any]]
) -> None:
    """Others get the partitions at once, not when the session times out."""
    client.add_assignment(0, 1)
    consumer.poll(0)
    consumer.close()
    assert events[-1] == ("revoked", [0, 1])
    assert client.closed
