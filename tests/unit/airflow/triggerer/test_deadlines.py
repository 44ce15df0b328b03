"""One timer wakes whoever's deadline has passed, and nobody else."""

from __future__ import annotations

import asyncio
import time
import weakref

from kafka_bridge.airflow.triggerer.deadlines import SPARE_ENTRIES, Deadlines

WAIT_SECONDS = 30.0


class Sleeper:
    """Notes when it is woken."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.woken: list[float] = []
        self._is_woken = asyncio.Event()

    def wake(self) -> None:
        """Be woken."""
        self.woken.append(time.time())
        self._is_woken.set()

    async def first(self) -> float:
        """Return when it was first woken, once it was."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self._is_woken.wait()
        return self.woken[0]


async def until_all_is_done_before(deadlines: Deadlines, moment: float) -> None:
    """Wait until all that was due before a moment has been dealt with."""
    last = Sleeper()
    deadlines.set(last, moment)
    await last.first()


async def test_each_sleeper_wakes_at_its_deadline() -> None:
    """Not before it, and in the order of the deadlines."""
    deadlines, begin = Deadlines(), time.time()
    sleepers = {delay: Sleeper() for delay in (0.15, 0.05, 0.1)}
    for delay, sleeper in sleepers.items():
        deadlines.set(sleeper, begin + delay)
    woken = {delay: await sleeper.first() - begin for delay, sleeper in sleepers.items()}
    assert all(at >= delay for delay, at in woken.items())
    assert sorted(woken, key=lambda delay: woken[delay]) == sorted(sleepers)
    assert all(len(sleeper.woken) == 1 for sleeper in sleepers.values())


async def test_postponed_deadline_wakes_only_at_the_later_time() -> None:
    """The earlier time is forgotten."""
    deadlines, sleeper, begin = Deadlines(), Sleeper(), time.time()
    for delay in (0.05, 0.1, 0.2):
        deadlines.set(sleeper, begin + delay)
    assert await sleeper.first() - begin >= 0.2
    assert len(sleeper.woken) == 1


async def test_advanced_deadline_wakes_once_at_the_earlier_time() -> None:
    """The later time is forgotten."""
    deadlines, sleeper, begin = Deadlines(), Sleeper(), time.time()
    deadlines.set(sleeper, begin + 0.3)
    deadlines.set(sleeper, begin + 0.05)
    await sleeper.first()
    await until_all_is_done_before(deadlines, begin + 0.35)
    assert len(sleeper.woken) == 1


async def test_deadline_advanced_by_a_day_wakes_now() -> None:
    """The timer of the old one does not delay it."""
    deadlines, sleeper = Deadlines(), Sleeper()
    deadlines.set(sleeper, time.time() + 86_400)
    deadlines.set(sleeper, time.time() + 0.05)
    await sleeper.first()


async def test_removed_sleepers_and_those_without_a_deadline_are_not_woken() -> None:
    """A deadline of None is for ever."""
    deadlines, gone, endless = Deadlines(), Sleeper(), Sleeper()
    deadlines.set(gone, time.time() + 0.05)
    deadlines.set(endless, time.time() + 0.05)
    deadlines.set(endless, None)
    deadlines.remove(gone)
    await until_all_is_done_before(deadlines, time.time() + 0.1)
    assert gone.woken == endless.woken == []


async def test_deadline_in_the_past_wakes_at_once() -> None:
    """It is due."""
    deadlines, sleeper = Deadlines(), Sleeper()
    deadlines.set(sleeper, time.time() - 5)
    await sleeper.first()
    assert len(sleeper.woken) == 1


async def test_stale_entries_do_not_pile_up_until_their_deadlines() -> None:
    """Deadlines in a day, of jobs that finish in seconds, are removed early."""
    deadlines, gone = Deadlines(), list[weakref.ref[Sleeper]]()
    for _ in range(10 * SPARE_ENTRIES):
        sleeper = Sleeper()
        deadlines.set(sleeper, time.time() + 86_400)
        deadlines.remove(sleeper)
        gone.append(weakref.ref(sleeper))
    del sleeper
    assert sum(each() is not None for each in gone) <= SPARE_ENTRIES + 1


async def test_removal_of_stale_entries_keeps_the_valid_ones() -> None:
    """Those who stay wake at their deadlines."""
    deadlines, begin = Deadlines(), time.time()
    stays = [Sleeper() for _ in range(10)]
    for sleeper in stays:
        deadlines.set(sleeper, begin + 0.1)
        for _ in range(SPARE_ENTRIES):
            other = Sleeper()
            deadlines.set(other, begin + 86_400)
            deadlines.remove(other)
    for sleeper in stays:
        await sleeper.first()
    assert [len(sleeper.woken) for sleeper in stays] == [1] * 10
