"""One timer wakes whoever's deadline has passed, and nobody else."""

from __future__ import annotations

import asyncio
import time

from kafka_bridge.airflow.deadlines import Deadlines


class Sleeper:
    """Notes when it is woken."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.woken: list[float] = []

    def wake(self) -> None:
        self.woken.append(time.time())


async def test_each_is_woken_at_its_deadline() -> None:
    """Not before it, and soon after it, in whatever order deadlines were set."""
    deadlines, begin = Deadlines(), time.time()
    sleepers = {delay: Sleeper() for delay in (0.15, 0.05, 0.1)}
    for delay, sleeper in sleepers.items():
        deadlines.set(sleeper, begin + delay)
    await asyncio.sleep(0.3)
    for delay, sleeper in sleepers.items():
        (at,) = sleeper.woken
        assert delay <= at - begin < delay + 0.1


async def test_deadline_that_moved_back() -> None:
    """A deadline that was put off is not kept; the later one is."""
    deadlines, sleeper, begin = Deadlines(), Sleeper(), time.time()
    for delay in (0.05, 0.1, 0.2):
        deadlines.set(sleeper, begin + delay)
    await asyncio.sleep(0.35)
    (at,) = sleeper.woken
    assert at - begin >= 0.2


async def test_deadline_that_moved_forward() -> None:
    """A deadline that was brought forward is kept, once."""
    deadlines, sleeper, begin = Deadlines(), Sleeper(), time.time()
    deadlines.set(sleeper, begin + 0.3)
    deadlines.set(sleeper, begin + 0.05)
    await asyncio.sleep(0.4)
    (at,) = sleeper.woken
    assert at - begin < 0.2


async def test_removed_and_endless_sleepers_sleep_on() -> None:
    """Who has left, or waits for ever, is not woken."""
    deadlines, gone, endless = Deadlines(), Sleeper(), Sleeper()
    deadlines.set(gone, time.time() + 0.05)
    deadlines.set(endless, time.time() + 0.05)
    deadlines.set(endless, None)
    deadlines.remove(gone)
    await asyncio.sleep(0.15)
    assert gone.woken == endless.woken == []


async def test_passed_deadline_wakes_at_once() -> None:
    """A deadline in the past is due now."""
    deadlines, sleeper = Deadlines(), Sleeper()
    deadlines.set(sleeper, time.time() - 5)
    await asyncio.sleep(0.05)
    assert len(sleeper.woken) == 1
