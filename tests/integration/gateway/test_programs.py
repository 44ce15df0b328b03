"""Gateways that die or stop while programs do their jobs: none lives on, and each job is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from integration.gateway.conftest import SetUp
from integration.jobs import request
from integration.worker.endings import ends_of, how_often_ended
from integration.worker.programs import Program
from kafka_bridge.payloads import from_bytes
from kafka_bridge.protocol.messages import JobState

if TYPE_CHECKING:
    from conftest import Eventually

JOBS = 20
WAITS = """
trap '' TERM
echo "$1 $$" >> begun
until [ -e gate ]; do sleep 0.1; done
echo "[$1]"
"""


def begun(folder: Path) -> list[tuple[int, int]]:
    """Return the number of each job that was begun, and the id of its program."""
    file = folder / "begun"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(int(number), int(pid)) for number, pid in lines]


@pytest.mark.parametrize("ends", [Program.kill, Program.stop])
def test_programs_end_with_their_gateway_and_the_next_one_does_the_jobs(
    set_up: SetUp, tmp_path: Path, eventually: Eventually, ends: Callable[[Program], object]
) -> None:
    """Whether it was killed or told to stop; though its programs take no notice of SIGTERM."""
    folder = tmp_path / "work"
    folder.mkdir()
    job = {
        "command": ["sh", "-c", WAITS, "-", "{payload}"],
        "working_directory": str(folder),
        "kill_after": 0.5,
        "concurrency": JOBS,
    }
    stage = set_up({"wait": job}, grace=0.2)
    jobs = [request("wait", stage.responses, number) for number in range(JOBS)]
    first = stage.start()
    stage.publish(*jobs)
    eventually(lambda: len(begun(folder)) == JOBS, "all are begun")
    ends(first)
    pids = [pid for _, pid in begun(folder)]
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), "all programs are gone")
    (folder / "gate").touch()
    stage.start()
    ended = ends_of(stage, jobs)
    assert [end.state for end in ended] == [JobState.SUCCEEDED] * JOBS
    results = [from_bytes(end.result, end.result_type) for end in ended]
    assert sorted(results) == [[number] for number in range(JOBS)]
    assert how_often_ended(stage, jobs) == [1] * JOBS
    assert sorted(number for number, _ in begun(folder)) == sorted([*range(JOBS)] * 2)
