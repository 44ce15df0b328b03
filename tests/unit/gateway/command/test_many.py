"""Many programs at a time on one event loop."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest

from kafka_bridge.worker import ApplicationError
from unit.gateway.command.conftest import Begun, until

PROGRAMS = 100


async def test_a_hundred_programs_at_a_time_leave_nothing_open(tmp_path: Path) -> None:
    """All run at once; afterwards there is no zombie, and no file descriptor more than before."""
    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    waits = 'exec 3< gate; touch "$0"; read line <&3; echo "[$0]"'
    job = {
        "command": ["sh", "-c", waits, "{payload}"],
        "working_directory": str(tmp_path),
    }
    me = psutil.Process()
    before = (me.children(recursive=True), me.num_fds() - 1)
    jobs = [Begun(job, number) for number in range(PROGRAMS)]
    await until(lambda: len(list(tmp_path.iterdir())) == PROGRAMS + 1)
    os.close(gate)
    assert await asyncio.gather(*(each.task for each in jobs)) == [[n] for n in range(PROGRAMS)]
    assert (me.children(recursive=True), me.num_fds()) == before


async def test_program_that_talks_without_end_does_not_keep_others_waiting() -> None:
    """Its lines are thrown away as fast as they come, and the loop has time for all the rest."""
    talker = Begun({"command": ["yes"], "timeout": 1})
    longest, last = 0.0, time.monotonic()
    while not talker.task.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    with pytest.raises(ApplicationError, match=r"yes took longer than 1 s .*: y\ny"):
        await talker.task
    assert longest < 0.5
