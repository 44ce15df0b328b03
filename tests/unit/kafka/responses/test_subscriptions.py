"""How much may wait for a job that does not keep up with what its worker publishes."""

from __future__ import annotations

import asyncio
import threading
from array import array
from typing import Any

import pytest

from kafka_bridge.kafka.responses import asyncio_delivery
from kafka_bridge.kafka.responses.asyncio_delivery import AsyncioDelivery
from kafka_bridge.kafka.responses.subscriptions import (
    MOST_PENDING,
    Arrival,
    Delivery,
    Notice,
    Subscription,
    Truncated,
    add_pending,
    bounded,
)
from kafka_bridge.protocol.errors import ReaderClosed, RecordLocation, Undecodable
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.messages import JobState

RUNNING, SUCCEEDED = JobState.RUNNING, JobState.SUCCEEDED
CLOSED = ReaderClosed("closed")


def arrival(offset: int, state: JobState = RUNNING) -> Arrival:
    """Return an event."""
    return Arrival(EventHead(1, state), RecordLocation("t", 0, offset), b"")


def job(key: bytes = b"a job") -> Subscription:
    """Return a waiting job."""
    return Subscription(key, array("q"), lambda _: None)


MANY = [arrival(offset) for offset in range(10_000)]
FIRST = MANY[: MOST_PENDING - 1]


@pytest.mark.parametrize(
    ("notices", "kept"),
    [
        pytest.param(FIRST, FIRST, id="few"),
        pytest.param(MANY, [*FIRST, MANY[-1]], id="the latest of many"),
        pytest.param([*MANY, end := arrival(1, SUCCEEDED)], [*FIRST, end], id="the end"),
        pytest.param([*MANY, end, *MANY], [*FIRST, end], id="nothing after the end"),
        pytest.param([*MANY, *[end] * 9_999], [*FIRST, end], id="the first of many ends"),
        pytest.param([*MANY, *[Undecodable("x")] * 99, end], [*FIRST, end], id="damaged ones"),
        pytest.param([*MANY, CLOSED], [*FIRST, CLOSED], id="the reader's end"),
        pytest.param([*MANY, Truncated(0, 1, 2), end], [*FIRST, end], id="a truncation"),
    ],
)
def test_pending_notices_of_a_job_are_bounded(notices: list[Notice], kept: list[Notice]) -> None:
    """The first ones, the latest progress and the end: for a waiter, and in a reader's batch."""
    pending: list[Notice] = []
    for notice in notices:
        add_pending(pending, notice)
    assert pending == kept
    waits, other = job(), job(b"other")
    delivery: Delivery = [*[(waits, notice) for notice in notices], (other, MANY[5])]
    found = bounded(delivery)
    assert [notice for each, notice in found if each is waits] == kept
    assert [notice for each, notice in found if each is other] == [MANY[5]]


async def test_reader_waits_for_a_loop_that_does_not_keep_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits in memory for the loop is bounded; all of it arrives once the loop goes on."""
    monkeypatch.setattr(asyncio_delivery, "MOST_ARRIVED", 1_000)
    monkeypatch.setattr(asyncio_delivery, "WAIT_SECONDS", 60.0)
    delivery, told, all_told = AsyncioDelivery(), list[int](), asyncio.Event()

    def note(notice: Any) -> None:
        told.append(notice.location.offset)
        if len(told) == len(MANY):
            all_told.set()

    heard = Subscription(b"job", array("q"), note)

    def read() -> None:
        for start in range(0, 10_000, 500):
            delivery.hand_over([(heard, each) for each in MANY[start : start + 500]])

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.5)  # meanwhile nothing runs on the loop
    assert reader.is_alive()
    assert len(delivery._arrived) <= 1_500
    async with asyncio.timeout(30):
        await all_told.wait()
    reader.join()
    assert told == list(range(10_000))
