"""From where to listen: asked for many jobs at a time, of brokers that may be away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from kafka_bridge.gateway.callbacks import start_offsets as module
from kafka_bridge.gateway.callbacks.start_offsets import StartOffsets
from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW
from kafka_bridge.protocol.errors import BrokerUnreachable, TopicNotFound

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Brokers:
    """Answers with the minute that it was asked for, once it is let."""

    def __init__(self) -> None:
        self.asked: list[datetime] = []
        self.may_answer = threading.Event()
        self.errors: list[Exception] = []

    def __call__(self, moment: datetime) -> Sequence[int]:
        self.asked.append(moment)
        assert self.may_answer.wait(30)
        if self.errors:
            raise self.errors.pop(0)
        return [moment.minute]


@pytest.fixture
def brokers() -> Brokers:
    """Give brokers that can be asked."""
    return Brokers()


async def until_asked(brokers: Brokers, times: int) -> None:
    """Wait until the brokers were asked so many times."""
    async with asyncio.timeout(30):
        while len(brokers.asked) < times:  # noqa: ASYNC110  another thread changes it
            await asyncio.sleep(0.01)


async def test_many_jobs_ask_once(brokers: Brokers) -> None:
    """Jobs that come together share a question, for the oldest less the clocks' margin.

    Who comes while it is on its way shares the next.
    """
    starts = StartOffsets(brokers)
    first = [starts.since(NOON + timedelta(minutes=n)) for n in (30, 20, 40)]
    waiting = [asyncio.ensure_future(each) for each in first]
    await until_asked(brokers, 1)
    waiting += [
        asyncio.ensure_future(starts.since(NOON + timedelta(minutes=n))) for n in range(100, 600)
    ]
    await asyncio.sleep(0)
    brokers.may_answer.set()
    assert await asyncio.gather(*waiting) == [[19]] * 3 + [[39]] * 500
    assert brokers.asked == [
        NOON + timedelta(minutes=20) - CLOCK_SKEW,
        NOON + timedelta(minutes=100) - CLOCK_SKEW,
    ]


async def test_a_job_that_is_cancelled_leaves_the_answer_to_others(brokers: Brokers) -> None:
    """One of those that wait goes; the others get the answer all the same."""
    starts = StartOffsets(brokers)
    gone, stays = (asyncio.create_task(starts.since(NOON)) for _ in range(2))
    await until_asked(brokers, 1)
    gone.cancel()
    brokers.may_answer.set()
    assert await stays == [59]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_brokers_that_are_away_are_asked_again(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer costs no job; that the topic is gone is told, and asked anew by the next."""
    monkeypatch.setattr(StartOffsets._answer.retry, "sleep", lambda _: asyncio.sleep(0))
    brokers.may_answer.set()
    brokers.errors = [BrokerUnreachable("away"), BrokerUnreachable("away"), TopicNotFound("gone")]
    starts = StartOffsets(brokers)
    with pytest.raises(TopicNotFound, match="gone"):
        await starts.since(NOON)
    assert len(brokers.asked) == 3
    assert module.PAUSE_SECONDS > 0
    assert await starts.since(NOON) == [59]
