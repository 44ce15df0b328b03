"""A program that is to end takes everything along that it has started."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker import ApplicationError, JobStopped, StopReason
from unit.gateway.command import family
from unit.gateway.command.conftest import Begun, Do, Script, is_gone, until

if TYPE_CHECKING:
    from conftest import Eventually

FAMILY = [sys.executable, "-I", "-S", family.__file__]
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere daemons escape")


def members(folder: Path) -> list[int]:
    """Return the ids of a family, as far as they are written."""
    files = [folder / name for name in family.MEMBERS]
    return [int(text) for file in files if file.exists() and (text := file.read_text())]


async def gathered(folder: Path) -> list[int]:
    """Return the ids of a family once all of it lives."""
    await until(lambda: len(members(folder)) == len(family.MEMBERS))
    return members(folder)


@linux
@pytest.mark.parametrize("reason", list(StopReason))
async def test_job_that_stops_leaves_nothing_behind(tmp_path: Path, reason: StopReason) -> None:
    """Whatever the reason, whoever ignores SIGTERM, left the group or became a daemon."""
    job = Begun({"command": [*FAMILY, str(tmp_path)], "kill_after": 0.1})
    pids = await gathered(tmp_path)
    job.stop(reason)
    with pytest.raises(JobStopped) as stopped:
        await job.task
    assert [pid for pid in pids if not is_gone(pid)] == []
    assert stopped.value.reason is reason
    words = (
        f"somebody said so; {sys.executable} ended with SIGKILL, and all its processes have ended"
    )
    assert str(stopped.value) == words


async def test_program_may_tidy_up_when_it_is_to_end(tmp_path: Path, sh: Script) -> None:
    """It gets SIGTERM, once, and the time that the file says; then its end is confirmed."""
    tidies = "trap 'echo once >> told; sleep 0.1; exit 7' TERM; touch begun; "
    job = Begun({"command": sh(f"{tidies} while :; do sleep 0.01; done"), "kill_after": 20})
    await until((tmp_path / "begun").exists)
    job.stop()
    with pytest.raises(
        JobStopped, match="sh ended with exit code 7, and all its processes have ended"
    ):
        await job.task
    assert (tmp_path / "told").read_text() == "once\n"


@linux
async def test_second_stop_does_not_hurry_the_first(tmp_path: Path) -> None:
    """A handler that is cancelled again while it waits still says the end only when it has come."""
    job = Begun({"command": [*FAMILY, str(tmp_path)], "kill_after": 2})
    pids = await gathered(tmp_path)
    for _ in range(3):
        job.stop()
        await asyncio.sleep(0.05)
    assert not job.task.done()
    with pytest.raises(JobStopped):
        await job.task
    assert [pid for pid in pids if not is_gone(pid)] == []


async def test_stop_at_any_moment_of_the_start_leaves_nothing(tmp_path: Path) -> None:
    """Also before the program is there, and as it comes to be."""
    before = psutil.Process().children()
    program = ["sleep", "100.1234567"]  # nobody else runs this
    for steps in range(0, 40, 4):
        job = Begun({"command": program, "kill_after": 0})
        for _ in range(steps):
            await asyncio.sleep(0.001)
        job.stop()
        with pytest.raises((JobStopped, asyncio.CancelledError)):
            await job.task
    assert psutil.Process().children() == before
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == program
    ]


def test_program_that_takes_too_long_is_ended(do: Do, sh: Script, tmp_path: Path) -> None:
    """The error says how long it had, and what it said last."""
    script = sh("echo $$ > pid; echo Reading a.txt; echo Waiting for b.txt >&2; exec sleep 100")
    outcome = do({"command": script, "timeout": 1.5})
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.retryable) == ("program_timeout", True)
    words = "sh took longer than 1.5 s (timeout) and was stopped: Waiting for b.txt"
    assert outcome.error.message == words
    assert "Reading a.txt" in (outcome.error.details or "")
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_cancel_counts_more_than_a_timeout(do: Do, sh: Script) -> None:
    """A job that is cancelled while its program is being ended is cancelled."""
    ignores = sh("trap '' TERM; sleep 100")
    job = {"command": ignores, "timeout": 1, "kill_after": 3}
    assert do(job, cancel_after=1.5).state is JobState.CANCELLED


def test_what_a_program_leaves_behind_ends_with_it(do: Do, sh: Script, tmp_path: Path) -> None:
    """A job that has ended runs nothing, and does not wait for it either."""
    leaves = sh("sleep 100 & echo $! > pid; echo '{\"done\": true}'")
    began = time.monotonic()
    assert do({"command": leaves}).result == {"done": True}
    assert time.monotonic() - began < 60
    assert is_gone(int((tmp_path / "pid").read_text()))


GATEWAY = """
import asyncio, sys
from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.invocation import invocation_of
from kafka_bridge.gateway.command.output import Output
from kafka_bridge.gateway.command.program import Program
from kafka_bridge.gateway.mask import Mask

job = CommandJob(command=sys.argv[1:], kill_after=0.1)
outputs = [Output(1000, 1000, Mask(), print) for _ in range(2)]
asyncio.run(Program(invocation_of(job, {}), asyncio.Semaphore()).run(*outputs))
"""


@pytest.mark.slow
@linux
def test_gateway_that_is_killed_takes_its_programs_along(
    tmp_path: Path, eventually: Eventually
) -> None:
    """With all that they have started; else they would do the work beside the next delivery."""
    gateway = subprocess.Popen([sys.executable, "-c", GATEWAY, *FAMILY, str(tmp_path)])
    try:
        eventually(lambda: len(members(tmp_path)) == len(family.MEMBERS), "all live")
    finally:
        gateway.kill()
        gateway.wait()
    eventually(lambda: all(is_gone(pid) for pid in members(tmp_path)), "all are gone")


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_guard_ignores_signals_of_service_managers(
    tmp_path: Path, sh: Script, number: signal.Signals
) -> None:
    """A service manager that signals all processes of the gateway stops programs, not guards."""
    job = Begun({"command": sh("echo $$ > pid; exec sleep 100"), "kill_after": 0})
    program, guard = await begun(tmp_path / "pid")
    guard.send_signal(number)
    program.send_signal(signal.SIGINT)
    with pytest.raises(ApplicationError, match="sh was killed by SIGINT"):
        await job.task


async def test_program_does_not_outlive_its_guard(tmp_path: Path, sh: Script) -> None:
    """Whoever kills the guard kills the program, and the job says so."""
    job = Begun({"command": sh("sleep 100 & echo Waiting >&2; echo $$ > pid; wait")})
    program, guard = await begun(tmp_path / "pid")
    relatives = [program, *program.children()]
    guard.kill()
    words = "the guard process of sh ended unexpectedly, so sh was killed: Waiting"
    with pytest.raises(ApplicationError, match=words) as failed:
        await job.task
    assert (failed.value.type, failed.value.retryable) == ("program_guard_gone", True)
    await until(lambda: not any(runs(each) for each in relatives))


async def begun(file: Path) -> tuple[psutil.Process, psutil.Process]:
    """Return the process whose id is in a file, once it is, and its guard."""
    ids: list[str] = []

    def is_written() -> bool:
        ids[:] = file.read_text().splitlines() if file.exists() else []
        return bool(ids)

    await until(is_written)
    program = psutil.Process(int(ids[0]))
    guard = program.parent()
    assert guard is not None
    return program, guard


def runs(process: psutil.Process) -> bool:
    """Tell whether a process is there and is no zombie: without its guard, init must reap it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
