"""The offsets from which jobs read callbacks: requests for many jobs at once."""

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
    """Fake brokers: their answer to a time is its minute, once they may answer."""

    def __init__(self) -> None:
        self.requests: list[datetime] = []
        self.may_answer = threading.Event()
        self.errors: list[Exception] = []

    def __call__(self, moment: datetime) -> Sequence[int]:
        self.requests.append(moment)
        assert self.may_answer.wait(30)
        if self.errors:
            raise self.errors.pop(0)
        return [moment.minute]


@pytest.fixture
def brokers() -> Brokers:
    """Give fake brokers."""
    return Brokers()


async def until_requests(brokers: Brokers, times: int) -> None:
    """Wait until the brokers have received so many requests."""
    async with asyncio.timeout(30):
        while len(brokers.requests) < times:  # noqa: ASYNC110  another thread changes it
            await asyncio.sleep(0.01)


async def test_jobs_share_a_request(brokers: Brokers) -> None:
    """Jobs that start together share one, for the oldest time less the tolerance for clocks.

    Jobs that start while it is sent share the next one.
    """
    starts = StartOffsets(brokers)
    first = [starts.since(NOON + timedelta(minutes=n)) for n in (30, 20, 40)]
    waiting = [asyncio.ensure_future(each) for each in first]
    await until_requests(brokers, 1)
    waiting += [
        asyncio.ensure_future(starts.since(NOON + timedelta(minutes=n))) for n in range(100, 600)
    ]
    await asyncio.sleep(0)
    brokers.may_answer.set()
    assert await asyncio.gather(*waiting) == [[19]] * 3 + [[39]] * 500
    assert brokers.requests == [
        NOON + timedelta(minutes=20) - CLOCK_SKEW,
        NOON + timedelta(minutes=100) - CLOCK_SKEW,
    ]


async def test_cancelled_job_does_not_cancel_the_shared_request(brokers: Brokers) -> None:
    """The other jobs receive the answer."""
    starts = StartOffsets(brokers)
    gone, stays = (asyncio.create_task(starts.since(NOON)) for _ in range(2))
    await until_requests(brokers, 1)
    gone.cancel()
    brokers.may_answer.set()
    assert await stays == [59]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_request_is_retried_while_brokers_are_away(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job fails. A missing topic is an error, and the next job asks again."""
    monkeypatch.setattr(StartOffsets._answer.retry, "sleep", lambda _: asyncio.sleep(0))
    brokers.may_answer.set()
    brokers.errors = [BrokerUnreachable("away"), BrokerUnreachable("away"), TopicNotFound("gone")]
    starts = StartOffsets(brokers)
    with pytest.raises(TopicNotFound, match="gone"):
        await starts.since(NOON)
    assert len(brokers.requests) == 3
    assert module.PAUSE_SECONDS > 0
    assert await starts.since(NOON) == [59]
