"""The looks at request topics that all queued jobs of a process share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.airflow.triggerer import log_budget, queue_watch
from kafka_bridge.airflow.triggerer.log_budget import LogBudget
from kafka_bridge.airflow.triggerer.queue_watch import (
    LINES_A_TURN,
    LOOK_SECONDS,
    PAUSE_SECONDS,
    Look,
    QueueWatch,
)
from kafka_bridge.kafka.admin.queue_position import PartitionQueue, TopicQueue
from kafka_bridge.protocol.errors import BrokerUnreachable
from kafka_bridge.testing import FakeClock

BEGAN = 1_000.0


@dataclass
class Cluster:
    """Stands in for the looks; ``done`` is how many jobs of partition 0 have finished."""

    clock: FakeClock
    done: int = 0
    failure: Exception | None = None
    looks: list[tuple[float, list[str]]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def look(self, topics: list[str]) -> dict[str, TopicQueue]:
        """Look at topics."""
        self.looks.append((self.clock.now - BEGAN, topics))
        self.threads.add(threading.get_ident())
        if self.failure is not None:
            raise self.failure
        return dict.fromkeys(topics, TopicQueue(2, {0: PartitionQueue(0, self.done)}))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Give a cluster; the pauses of the watch take no time."""
    clock = FakeClock(BEGAN)
    monkeypatch.setattr(queue_watch, "time", clock)
    monkeypatch.setattr(log_budget, "time", clock)
    loop = SimpleNamespace(
        sleep=clock.async_sleep,
        create_task=asyncio.create_task,
        get_running_loop=asyncio.get_running_loop,
    )
    monkeypatch.setattr(queue_watch, "asyncio", loop)
    return Cluster(clock)


@pytest.fixture
def watch(cluster: Cluster) -> QueueWatch:
    """Give a watch whose log has room."""
    return QueueWatch(cluster.look, LogBudget())


async def served(watch: QueueWatch) -> None:
    """Wait until every job is answered."""
    async with asyncio.timeout(30):
        if watch._task is not None:
            await watch._task


async def answer_of(watch: QueueWatch, topic: str = "q") -> Look:
    """Ask, and return the answer."""
    found: list[Look] = []
    watch.ask(topic, keep_in(found))
    await served(watch)
    (look,) = found
    return look


def keep_in(found: list[Any]) -> Callable[[Look], bool]:
    """Return what keeps an answer, as a job does that logs it."""

    def answer(look: Look) -> bool:
        found.append(look)
        return True

    return answer


async def test_ten_thousand_jobs_of_a_topic_share_one_look(
    watch: QueueWatch, cluster: Cluster
) -> None:
    """Those that are no longer queued take no turn from the others."""
    found: list[Look] = []
    for number in range(10_000):
        watch.ask("q", keep_in(found) if number % 1000 == 0 else lambda _: False)
    await served(watch)
    assert cluster.looks == [(0.0, ["q"])]
    assert len(found) == 10


async def test_look_runs_on_a_thread(watch: QueueWatch, cluster: Cluster) -> None:
    """The event loop serves all triggers of the process."""
    await answer_of(watch)
    assert threading.get_ident() not in cluster.threads


async def test_many_jobs_are_answered_in_turn_and_leave_room_for_progress(
    watch: QueueWatch, cluster: Cluster
) -> None:
    """Each gets a look that is not older than it may be."""
    found: list[float] = []

    def answer(look: Look) -> bool:
        found.append(cluster.clock.now - look.at)
        return True

    for _ in range(50 * LINES_A_TURN):
        watch.ask("q", answer)
    await served(watch)
    assert len(found) == 50 * LINES_A_TURN
    assert max(found) < LOOK_SECONDS
    assert [at for at, _ in cluster.looks] == [0.0, 15.0, 30.0, 45.0]


async def test_no_job_is_answered_while_the_log_of_the_process_is_full(
    cluster: Cluster,
) -> None:
    """The line would wait, and be wrong when it is logged."""
    budget = LogBudget(lines=10, burst_lines=10)
    watch = QueueWatch(cluster.look, budget)
    times: list[float] = []

    def answer(_: Look) -> bool:
        times.append(cluster.clock.now - BEGAN)
        budget.spend(100)
        return True

    for _ in range(30):
        watch.ask("q", answer)
    await served(watch)
    assert times == [0.0] * 10 + [1.0] * 10 + [2.0] * 10


async def test_topics_are_looked_at_together_and_only_if_a_job_asks(
    watch: QueueWatch, cluster: Cluster
) -> None:
    """Each look opens a connection."""
    found: list[Look] = []
    for topic in ("a", "b", "a"):
        watch.ask(topic, keep_in(found))
    await served(watch)
    watch.ask("c", keep_in(found))
    await served(watch)
    assert cluster.looks == [(0.0, ["a", "b"]), (PAUSE_SECONDS, ["c"])]
    assert len(found) == 4
    cluster.clock.now += 1000
    assert len(cluster.looks) == 2


async def test_pace_is_that_of_the_jobs_that_finished_between_two_looks(
    watch: QueueWatch, cluster: Cluster
) -> None:
    """One look shows none, and two jobs are too few."""
    assert (await answer_of(watch)).paces == {}
    cluster.clock.now, cluster.done = BEGAN + 20, 2
    assert (await answer_of(watch)).paces == {}
    cluster.clock.now, cluster.done = BEGAN + 40, 10
    assert (await answer_of(watch)).paces == {0: 0.25}


async def test_pace_is_that_of_the_last_minutes(watch: QueueWatch, cluster: Cluster) -> None:
    """As long as there are looks of these minutes; after a long pause no pace is known."""
    for minute in range(20):
        cluster.clock.now, cluster.done = BEGAN + 60 * minute, 60 * min(minute, 10)
        look = await answer_of(watch)
    assert look.paces == {}
    cluster.clock.now, cluster.done = BEGAN + 10_000, 5_000
    assert (await answer_of(watch)).paces == {}


async def test_error_of_a_look_is_its_answer(watch: QueueWatch, cluster: Cluster) -> None:
    """No wait ends because of it, and the next look may succeed."""
    cluster.failure = BrokerUnreachable("no broker answered")
    assert (await answer_of(watch)).queue == TopicQueue(unknown="no broker answered")
    cluster.clock.now, cluster.failure = BEGAN + 20, None
    assert (await answer_of(watch)).queue.workers == 2
    cluster.clock.now, cluster.done = BEGAN + 40, 10
    assert (await answer_of(watch)).paces == {0: 0.5}


async def test_unexpected_error_of_a_look_is_logged_and_is_its_answer(
    watch: QueueWatch, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """With its traceback, in the log of the process."""
    cluster.failure = ZeroDivisionError("a fault")
    assert (await answer_of(watch)).queue == TopicQueue(unknown="ZeroDivisionError")
    assert "a fault" in caplog.text


async def test_job_that_fails_does_not_keep_the_others_from_their_answer(
    watch: QueueWatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is in the log of the process."""
    found: list[Look] = []

    def fail(_: Look) -> bool:
        raise ZeroDivisionError("a fault")

    watch.ask("q", fail)
    watch.ask("q", keep_in(found))
    await served(watch)
    assert len(found) == 1
    assert "a fault" in caplog.text


async def test_jobs_of_a_connection_share_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an event loop: a look is made with the connection's settings."""
    made: list[str] = []
    monkeypatch.setattr(queue_watch, "kafka_config", made.append)
    monkeypatch.setattr(
        queue_watch, "queues_of", lambda _, topics, __: dict.fromkeys(topics, TopicQueue())
    )
    found: list[Look] = []
    for connection in ("mine", "mine", "theirs"):
        queue_watch.ask(connection, "q", keep_in(found))
    loop = asyncio.get_running_loop()
    for connection in ("mine", "theirs"):
        watch = queue_watch._watches.pop((loop, connection))
        await served(watch)
    assert sorted(made) == ["mine", "theirs"]
    assert len(found) == 3
