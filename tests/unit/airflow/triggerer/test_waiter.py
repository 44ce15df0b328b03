"""A waiter of one job or of many, with a hub that has no reader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import cast

from kafka_bridge.airflow.triggerer.deadlines import Deadlines
from kafka_bridge.airflow.triggerer.hub import ResponseHub
from kafka_bridge.airflow.triggerer.waiter import JobNotice, Waiter
from kafka_bridge.kafka.responses.subscriptions import MOST_PENDING, Arrival, Subscription
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.messages import JobState


class Hub:
    """A hub without a reader: keeps the subscriptions."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        self.deadlines = Deadlines()
        self.live_since = 7.0

    def add(self, subscriptions: Sequence[Subscription]) -> None:
        """Keep them."""
        self.subscriptions += subscriptions

    def remove(self, subscriptions: Iterable[Subscription]) -> None:
        """Drop them."""
        self.subscriptions = [each for each in self.subscriptions if each not in subscriptions]

    def publish(self, job: str, offset: int, state: JobState = JobState.RUNNING) -> None:
        """Let the waiter of a job receive an event."""
        for each in self.subscriptions:
            if each.key == job.encode():
                each.notify(Arrival(EventHead(1, state), RecordLocation("t", 0, offset), b""))


def waiting(*jobs: str) -> tuple[Hub, Waiter]:
    """Return a hub and a waiter that has joined it."""
    hub = Hub()
    return hub, Waiter(jobs, [0]).join(cast(ResponseHub, hub))


def facts(received: JobNotice | None) -> tuple[str, int]:
    """Return the job and the offset of what was received."""
    assert received is not None
    job, notice = received
    assert isinstance(notice, Arrival)
    return job, notice.location.offset


async def test_notices_of_one_job_come_in_their_order() -> None:
    """Also those that arrive while older ones are still pending."""
    hub, waiter = waiting("a")
    with waiter:
        hub.publish("a", 1)
        hub.publish("a", 2)
        assert facts(await waiter.next(None)) == ("a", 1)
        hub.publish("a", 3)
        assert [facts(await waiter.next(None)) for _ in range(2)] == [("a", 2), ("a", 3)]


async def test_notices_of_several_jobs_all_arrive() -> None:
    """No job waits for ever behind another one."""
    hub, waiter = waiting("a", "b")
    with waiter:
        for offset in range(3):
            hub.publish("a", offset)
            hub.publish("b", offset)
        received = [facts(await waiter.next(None)) for _ in range(6)]
    assert sorted(received) == [(job, offset) for job in "ab" for offset in range(3)]
    assert [offset for job, offset in received if job == "b"] == [0, 1, 2]


async def test_next_wakes_up_when_a_notice_arrives() -> None:
    """A waiter without a deadline sleeps until then."""
    hub, waiter = waiting("a")
    with waiter:
        sleeping = asyncio.create_task(waiter.next(None))
        await asyncio.sleep(0)
        assert not sleeping.done()
        hub.publish("a", 1)
        async with asyncio.timeout(10):
            assert facts(await sleeping) == ("a", 1)


async def test_next_returns_none_at_the_deadline() -> None:
    """A deadline that has passed ends the sleep at once."""
    _, waiter = waiting("a")
    with waiter:
        async with asyncio.timeout(10):
            assert await waiter.next(0.0) is None


async def test_job_that_publishes_too_fast_takes_bounded_memory() -> None:
    """Its latest progress and its terminal event are kept, and other jobs lose nothing."""
    hub, waiter = waiting("loud", "quiet")
    with waiter:
        for _ in range(3):
            for offset in range(10_000):
                hub.publish("loud", offset)
            hub.publish("quiet", 7, JobState.SUCCEEDED)
            hub.publish("loud", 8, JobState.SUCCEEDED)
            hub.publish("loud", 9, JobState.SUCCEEDED)
            received = [facts(await waiter.next(None)) for _ in range(MOST_PENDING + 1)]
            assert ("quiet", 7) in received
            assert [each for each in received if each[0] == "loud"][-1] == ("loud", 8)
            assert await waiter.next(0.0) is None


async def test_end_of_the_block_ends_the_subscriptions() -> None:
    """The waiter keeps none of them: nothing is left to the garbage collector."""
    hub, waiter = waiting("a", "b")
    with waiter:
        assert [each.key for each in hub.subscriptions] == [b"a", b"b"]
        assert waiter.live_since == 7.0
    assert hub.subscriptions == []
    assert list(waiter.keys) == []


async def test_all_jobs_of_a_waiter_share_their_start_offsets() -> None:
    """A waiter of 100,000 jobs has one array of offsets, not 100,000."""
    hub, _ = waiting("a", "b")
    first, second = hub.subscriptions
    assert first.positions is second.positions
