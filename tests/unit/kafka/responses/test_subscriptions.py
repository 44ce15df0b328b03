"""How much may wait for a job that does not keep up with what its worker publishes."""

from __future__ import annotations

from array import array

import pytest

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
