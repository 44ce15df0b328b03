"""A worker's consumer and its group on a real Kafka."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS, config_of
from kafka_bridge.kafka.consumer import Position, RequestConsumer
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory


@pytest.fixture
def consumer(
    real_broker: Broker, topics: TopicFactory, unique_name: Callable[[str], str]
) -> Iterator[RequestConsumer]:
    """Give the one member of a group, once it has the one partition."""
    joined: list[int] = []
    consumer = RequestConsumer(
        config_of(real_broker.bootstrap_servers),
        topics("requests", 1),
        unique_name("group"),
        assigned=joined.extend,
        revoked=lambda _: None,
        lost=lambda _: None,
        skipped=lambda _: None,
    )
    with contextlib.closing(consumer):
        poll_until(consumer, lambda: joined)
        yield consumer


def poll_until(consumer: RequestConsumer, condition: Callable[[], object]) -> None:
    """Poll until something is so."""
    give_up = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        consumer.poll(0.05)


def test_membership_is_confirmed_by_a_later_commit(consumer: RequestConsumer) -> None:
    """The result of an earlier commit does not count."""
    assert not consumer.is_member({0: Position(0)}, doubt=1)
    poll_until(consumer, lambda: consumer.is_member({0: Position(0)}, doubt=1))
    assert not consumer.is_member(
        {0: Position(0)}, doubt=2
    )  # and then the doubt ends in another way
    consumer.commit({0: Position(0)})
    for _ in range(10):
        consumer.poll(0.05)
    assert not consumer.is_member({0: Position(0)}, doubt=3)
    poll_until(consumer, lambda: consumer.is_member({0: Position(0)}, doubt=3))


def test_failed_commit_is_reported(consumer: RequestConsumer) -> None:
    """Only changed offsets are committed, so the others must be committed again."""
    consumer.commit({7: Position(0)})  # there is no such partition
    poll_until(consumer, consumer.has_failed_to_commit)
    consumer.commit({0: Position(0)}, wait=True)
    assert not consumer.has_failed_to_commit()
