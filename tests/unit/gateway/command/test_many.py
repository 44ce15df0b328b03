"""Many programs at a time on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from kafka_bridge.gateway.command.program import STARTING
from kafka_bridge.worker import ApplicationError
from unit.gateway.command.conftest import started
from unit.gateway.started_job import until
from unit.loop_time import LoopTime

PROGRAMS = 100


@pytest.mark.slow
async def test_a_hundred_programs_at_a_time_leave_nothing_open(tmp_path: Path) -> None:
    """All run at once. Afterwards there are no zombies and no more open files than before.

    Meanwhile the event loop has time for other jobs.
    """
    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    waits = 'exec 3< gate; touch "$0"; read line <&3; echo "[$0]"'
    job = {
        "command": ["sh", "-c", waits, "{payload}"],
        "working_directory": str(tmp_path),
    }
    before = left_open()
    starting = asyncio.Semaphore(STARTING)
    jobs = [started(job, number, starting) for number in range(PROGRAMS)]
    all_run = asyncio.create_task(until(lambda: len(list(tmp_path.iterdir())) == PROGRAMS + 1))
    assert await longest_pause(all_run, time.monotonic) < 5.0
    await all_run
    os.close(gate)
    assert await asyncio.gather(*(each.task for each in jobs)) == [[n] for n in range(PROGRAMS)]
    await until(lambda: not left_open() - before)


async def test_endless_output_does_not_block_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lines are dropped as fast as they arrive, and the loop has time for other jobs."""
    loop_time = LoopTime(monkeypatch)
    job = started({"command": ["yes"], "timeout": 600})
    await job.has_published(messages=1)
    for_a_moment = asyncio.create_task(asyncio.sleep(0.3))
    assert await longest_pause(for_a_moment, time.thread_time) < 0.2  # whatever else runs here
    loop_time.skip(600)
    with pytest.raises(ApplicationError, match=r"yes took longer than 600 s .*: y\ny"):
        await job.task


def left_open() -> set[object]:
    """Return what a program may leave in this process: children, pipes and local sockets.

    Other tests' clients of Kafka open and close connections meanwhile.
    """
    me, pipes = psutil.Process(), set[object]()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own descriptor is closed
            target = str(each.readlink())
            pipes |= {target} if target.startswith("pipe:") else set()
    return {*me.children(), *pipes, *(each.fd for each in me.net_connections("unix"))}


async def longest_pause(task: asyncio.Task[Any], clock: Callable[[], float]) -> float:
    """Return the longest time, by a clock, in which the loop was blocked until a task is done."""
    longest, last = 0.0, clock()
    while not task.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, clock() - last), clock()
    return longest
