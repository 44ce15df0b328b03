"""Which waiters share a hub, with hubs that have no reader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from kafka_bridge.airflow.triggerer import shared_readers
from kafka_bridge.airflow.triggerer.deadlines import Deadlines
from kafka_bridge.airflow.triggerer.shared_readers import join_hub
from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.responses.subscriptions import Subscription
from kafka_bridge.protocol.errors import ConfigurationError, ReaderClosed


class Hub:
    """A hub without a reader; it can be closed."""

    def __init__(self, connection: str, topic: str, metrics: Any = None) -> None:
        self.opened_for = connection, topic
        self.metrics = metrics
        self.deadlines = Deadlines()
        self.is_closed = False
        self.keys: set[bytes] = set()

    def waits_for_any(self, keys: Iterable[bytes]) -> bool:
        """Whether one of these jobs has a waiter."""
        return not self.keys.isdisjoint(keys)

    def add(self, subscriptions: Sequence[Subscription]) -> None:
        """Keep the jobs, unless closed."""
        if self.is_closed:
            raise ReaderClosed("closed")
        self.keys.update(each.key for each in subscriptions)

    def remove(self, subscriptions: Sequence[Subscription]) -> None:
        """Drop the jobs."""
        self.keys.difference_update(each.key for each in subscriptions)


@pytest.fixture
def hubs(monkeypatch: pytest.MonkeyPatch) -> list[Hub]:
    """Give the list of the hubs that were opened."""
    opened: list[Hub] = []

    def open_hub(*arguments: Any) -> Hub:
        opened.append(Hub(*arguments))
        return opened[-1]

    def kafka_config(connection: str) -> str:
        if connection == "nowhere":
            raise ConfigurationError("no such connection")
        return connection

    monkeypatch.setattr(shared_readers, "ResponseHub", open_hub)
    monkeypatch.setattr(shared_readers, "ReaderMetrics", lambda topic: topic)
    monkeypatch.setattr(shared_readers, "kafka_config", kafka_config)
    monkeypatch.setattr(shared_readers, "_hubs", {})
    return opened


async def join(*jobs: str, connection: str = "mine", topic: str = "responses") -> Waiter:
    """Let a waiter of these jobs join a hub."""
    return await join_hub(Waiter(jobs, [0]), connection, topic)


async def test_waiters_of_one_topic_share_one_reader(hubs: list[Hub]) -> None:
    """Even if they come at the same time, before the reader is open."""
    await asyncio.gather(*(join(f"job-{number}") for number in range(50)))
    await join("one", "more")
    assert [hub.opened_for for hub in hubs] == [("mine", "responses")]


async def test_task_joins_the_reader_that_was_opened_for_it(hubs: list[Hub]) -> None:
    """With the connection that the task has looked up already, and without metrics."""
    config: Any = "looked up before"
    shared_readers.open_for_task(config, "mine", "responses")
    await join("a")
    assert [(hub.opened_for, hub.metrics) for hub in hubs] == [((config, "responses"), None)]


async def test_each_connection_and_topic_has_a_reader_of_its_own(hubs: list[Hub]) -> None:
    """Two connections may lead to different clusters."""
    await join("a")
    await join("b", topic="others")
    await join("c", connection="theirs")
    assert [hub.opened_for for hub in hubs] == [
        ("mine", "responses"),
        ("mine", "others"),
        ("theirs", "responses"),
    ]


async def test_second_waiter_of_a_job_gets_another_reader(hubs: list[Hub]) -> None:
    """A reader notifies one waiter of each job. Once that has left, the next can use it."""
    with await join("a"):
        await join("x", "a")
        assert [hub.keys for hub in hubs] == [{b"a"}, {b"x", b"a"}]
    await join("a")
    assert [hub.keys for hub in hubs] == [{b"a"}, {b"x", b"a"}]


async def test_closed_reader_is_replaced(hubs: list[Hub]) -> None:
    """A reader closes by itself when no job waits; the next job opens another one."""
    with await join("a"):
        pass
    hubs[0].is_closed = True
    await join("b")
    assert [hub.keys for hub in hubs] == [set(), {b"b"}]


async def test_unusable_connection_is_an_error_of_the_waiter(hubs: list[Hub]) -> None:
    """Nothing is opened, and a later waiter can try again."""
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            await join("a", connection="nowhere")
    assert hubs == []
