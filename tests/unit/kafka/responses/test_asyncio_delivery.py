"""Notices on their way from a reader's thread to an event loop, which takes its turns by hand."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kafka_bridge.kafka.responses import asyncio_delivery
from kafka_bridge.kafka.responses.asyncio_delivery import (
    MOST_ARRIVED,
    SLICE_SECONDS,
    WAIT_SECONDS,
    AsyncioDelivery,
)
from kafka_bridge.kafka.responses.subscriptions import Delivery, Subscription, Truncated
from kafka_bridge.testing.fakes import FakeClock


class Loop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which runs only while the test lets it."""

    def __init__(self) -> None:
        self.clock = FakeClock(0.0)
        super().__init__()

    def time(self) -> float:
        """Return the seconds of that clock."""
        return self.clock.now

    def turn(self) -> None:
        """Run what is due now, and not what that adds."""
        self.call_soon(self.stop)
        self.run_forever()


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Give the loop of the waiting jobs."""
    loop = Loop()
    yield loop
    if not loop.is_closed():
        loop.close()


@pytest.fixture
def delivery(loop: Loop) -> AsyncioDelivery:
    """Give what passes notices on to that loop."""

    async def make() -> AsyncioDelivery:
        return AsyncioDelivery()

    return loop.run_until_complete(make())


class Reader(FakeClock):
    """The clock of the reader's thread: while it sleeps, ``meanwhile`` happens."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def sleep(self, seconds: float) -> None:
        """Move the clock forward."""
        super().sleep(seconds)
        self.meanwhile()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Give the clock of the reader's thread, which is the test's."""
    reader = Reader()
    monkeypatch.setattr(asyncio_delivery, "time", reader)
    return reader


def notices(heard: Callable[[int], object], first: int, end: int) -> Delivery:
    """Return notices with these numbers for one job."""

    def notify(notice: Any) -> None:
        heard(notice.first)

    job = Subscription(b"job", array("q"), notify)
    return [(job, Truncated(0, 0, number)) for number in range(first, end)]


def test_notices_arrive_on_the_loop_in_order(loop: Loop, delivery: AsyncioDelivery) -> None:
    """The reader's thread itself calls no job; later batches come after earlier ones."""
    heard: list[int] = []
    delivery.hand_over(notices(heard.append, 0, 2))
    delivery.hand_over(notices(heard.append, 2, 3))
    assert heard == []
    loop.turn()
    assert heard == [0, 1, 2]
    delivery.hand_over(notices(heard.append, 3, 4))
    loop.turn()
    assert heard == [0, 1, 2, 3]


def test_many_notices_leave_the_loop_to_others_in_between(
    loop: Loop, delivery: AsyncioDelivery
) -> None:
    """Each turn of the loop passes notices on for 5 ms: here one takes half of that."""
    heard: list[int] = []

    def hear(number: int) -> None:
        heard.append(number)
        loop.clock.advance(SLICE_SECONDS / 2)

    delivery.hand_over(notices(hear, 0, 5))
    counts = []
    for _ in range(3):
        loop.turn()
        counts.append(len(heard))
    assert counts == [2, 4, 5]
    assert heard == [0, 1, 2, 3, 4]


def test_notice_that_arrives_while_others_are_passed_on_is_not_forgotten(
    loop: Loop, delivery: AsyncioDelivery
) -> None:
    """The loop was not woken for it: it was awake."""
    heard: list[int] = []

    def hear(number: int) -> None:
        heard.append(number)
        if number == 0:
            delivery.hand_over(notices(heard.append, 1, 2))
            loop.clock.advance(SLICE_SECONDS)

    delivery.hand_over(notices(hear, 0, 1))
    loop.turn()
    assert heard == [0]
    loop.turn()
    assert heard == [0, 1]


def test_job_that_fails_does_not_keep_notices_from_others(
    loop: Loop, delivery: AsyncioDelivery
) -> None:
    """Not from those of its own batch, and not from later ones; the loop hears of the fault."""
    heard: list[int] = []
    faults: list[Any] = []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def fail(_: int) -> None:
        raise RuntimeError("a fault")

    delivery.hand_over([*notices(fail, 0, 1), *notices(heard.append, 1, 2)])
    loop.turn()
    loop.turn()
    assert heard == [1]
    assert [str(each) for each in faults] == ["a fault"]
    delivery.hand_over(notices(fail, 2, 3))
    loop.turn()
    delivery.hand_over(notices(heard.append, 3, 4))
    loop.turn()
    assert heard == [1, 3]


def test_reader_waits_for_a_loop_that_does_not_keep_up(
    loop: Loop, delivery: AsyncioDelivery, reader: Reader
) -> None:
    """What waits in memory for the loop is bounded; all of it arrives once the loop goes on."""
    heard: list[int] = []
    delivery.hand_over(notices(heard.append, 0, MOST_ARRIVED + 1))
    assert reader.slept == [], "until then there was room"

    def meanwhile() -> None:
        if len(reader.slept) == 3:
            loop.turn()

    reader.meanwhile = meanwhile
    delivery.hand_over(notices(heard.append, MOST_ARRIVED + 1, MOST_ARRIVED + 2))
    assert len(reader.slept) == 3
    assert heard == list(range(MOST_ARRIVED + 1))
    loop.turn()
    assert heard == list(range(MOST_ARRIVED + 2))


def test_reader_waits_no_longer_than_a_second_with_one_batch(
    loop: Loop, delivery: AsyncioDelivery, reader: Reader
) -> None:
    """Who closes the reader waits for it on the very loop that does not go on. Nothing is lost."""
    heard: list[int] = []
    delivery.hand_over(notices(heard.append, 0, MOST_ARRIVED + 1))
    delivery.hand_over(notices(heard.append, MOST_ARRIVED + 1, MOST_ARRIVED + 2))
    assert sum(reader.slept) == pytest.approx(WAIT_SECONDS, abs=0.01)
    loop.turn()
    assert heard == list(range(MOST_ARRIVED + 2))


def test_reader_does_not_wait_for_a_loop_that_is_closed(
    loop: Loop, delivery: AsyncioDelivery, reader: Reader
) -> None:
    """No job waits there any more: what arrived is dropped, and the reader does not fail."""
    heard: list[int] = []
    loop.close()
    for _ in range(3):
        delivery.hand_over(notices(heard.append, 0, MOST_ARRIVED + 1))
    assert (heard, reader.slept) == ([], [])
    assert len(delivery._arrived) <= 2 * MOST_ARRIVED
