"""Many programs at a time on one event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from kafka_bridge.gateway.command.program import STARTING
from kafka_bridge.worker import ApplicationError
from unit.gateway.command.conftest import Begun, until

PROGRAMS = 100


@pytest.mark.slow
async def test_a_hundred_programs_at_a_time_leave_nothing_open(tmp_path: Path) -> None:
    """All run at once; afterwards there is no zombie, and no file descriptor more than before.

    Meanwhile the loop has time for other jobs.
    """
    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    waits = 'exec 3< gate; touch "$0"; read line <&3; echo "[$0]"'
    job = {
        "command": ["sh", "-c", waits, "{payload}"],
        "working_directory": str(tmp_path),
    }
    me = psutil.Process()
    before = (me.children(recursive=True), me.num_fds() - 1)
    starting = asyncio.Semaphore(STARTING)
    jobs = [Begun(job, number, starting) for number in range(PROGRAMS)]
    begun = asyncio.create_task(until(lambda: len(list(tmp_path.iterdir())) == PROGRAMS + 1))
    assert await longest_pause(begun, time.monotonic) < 5.0
    await begun
    os.close(gate)
    assert await asyncio.gather(*(each.task for each in jobs)) == [[n] for n in range(PROGRAMS)]
    await until(lambda: (me.children(recursive=True), me.num_fds()) == before)


async def test_program_that_talks_without_end_does_not_keep_others_waiting() -> None:
    """Its lines are thrown away as fast as they come, and the loop has time for all the rest."""
    talker = Begun({"command": ["yes"], "timeout": 1})
    assert await longest_pause(talker.task, time.thread_time) < 0.8  # whatever else runs here
    with pytest.raises(ApplicationError, match=r"yes took longer than 1 s .*: y\ny"):
        await talker.task


async def longest_pause(task: asyncio.Task[Any], clock: Callable[[], float]) -> float:
    """Return for how many seconds by a clock the loop had no time, until a task is done."""
    longest, last = 0.0, clock()
    while not task.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, clock() - last), clock()
    return longest
