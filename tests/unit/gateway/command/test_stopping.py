"""A program that is stopped ends with all processes that it has started."""

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

from kafka_bridge.worker import ApplicationError, JobStopped, StopReason
from unit.gateway.command import family
from unit.gateway.command.conftest import Do, Gate, Script, is_gone, started
from unit.gateway.started_job import until
from unit.loop_time import LoopTime

if TYPE_CHECKING:
    from conftest import Eventually

FAMILY = [sys.executable, "-I", "-S", family.__file__]
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere daemons escape")


def members(folder: Path) -> list[int]:
    """Return the process ids of a family, as far as they are written."""
    files = [folder / name for name in family.MEMBERS]
    return [int(text) for file in files if file.exists() and (text := file.read_text())]


async def family_of(folder: Path) -> list[int]:
    """Return the process ids of a family once all of it runs."""
    await until(lambda: len(members(folder)) == len(family.MEMBERS))
    return members(folder)


@linux
@pytest.mark.parametrize("reason", list(StopReason))
async def test_stopped_job_leaves_no_process(tmp_path: Path, reason: StopReason) -> None:
    """For any reason, also processes that ignore SIGTERM, left the group or became daemons."""
    job = started({"command": [*FAMILY, str(tmp_path)], "kill_after": 0.1})
    pids = await family_of(tmp_path)
    message = await job.stopped(reason)
    assert [pid for pid in pids if not is_gone(pid)] == []
    assert message == (
        f"the test stopped it; {sys.executable} ended with SIGKILL, and all its processes have "
        "ended"
    )


SLOW_TO_STOP = "trap 'echo once >> asked; read go < gate; exit 7' TERM; touch running; "
"""A program that ends only when the test lets it."""
LOOP = "while :; do sleep 0.01; done"
STOPPED = "the test stopped it; sh ended with exit code 7, and all its processes have ended"


async def test_program_may_clean_up_when_it_is_stopped(
    tmp_path: Path, sh: Script, gate: Gate
) -> None:
    """It gets SIGTERM, once, and the configured time; then its end is confirmed."""
    job = started({"command": sh(SLOW_TO_STOP + LOOP), "kill_after": 60})
    await until((tmp_path / "running").exists)
    job.stop()
    await until((tmp_path / "asked").exists)
    gate.open()
    assert await job.confirmed() == STOPPED
    assert (tmp_path / "asked").read_text() == "once\n"


async def test_second_stop_does_not_hurry_the_first(tmp_path: Path, sh: Script, gate: Gate) -> None:
    """A handler that is cancelled again while it waits confirms the end only when it has come."""
    job = started({"command": sh(SLOW_TO_STOP + LOOP), "kill_after": 60})
    await until((tmp_path / "running").exists)
    for _ in range(3):
        job.stop()
        await until((tmp_path / "asked").exists)
        await asyncio.sleep(0.05)
    assert not job.task.done()
    gate.open()
    assert await job.confirmed() == STOPPED


async def test_stop_at_any_moment_of_the_start_leaves_no_process(tmp_path: Path) -> None:
    """Also before the program exists, and while it is started."""
    before = psutil.Process().children()
    program = ["sleep", "100.1234567"]  # nobody else runs this
    for steps in range(0, 40, 4):
        job = started({"command": program, "kill_after": 0})
        for _ in range(steps):
            await asyncio.sleep(0.001)
        job.stop()
        with pytest.raises((JobStopped, asyncio.CancelledError)):
            await job.task
    assert psutil.Process().children() == before
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == program
    ]


async def test_program_is_stopped_after_its_timeout(
    sh: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the timeout, and the last lines of its output."""
    loop_time = LoopTime(monkeypatch)
    script = sh("echo $$ > pid; echo Reading a.txt; echo Waiting for b.txt >&2; exec sleep 100")
    job = started({"command": script, "timeout": 600})
    await until(lambda: "Waiting for b.txt" in job.messages)
    loop_time.skip(600)
    with pytest.raises(ApplicationError) as failed:
        await job.task
    assert (failed.value.type, failed.value.retryable) == ("program_timeout", True)
    words = "sh took longer than 600 s (timeout) and was stopped: Waiting for b.txt"
    assert str(failed.value) == words
    assert "Reading a.txt" in (failed.value.details or "")
    assert is_gone(int((tmp_path / "pid").read_text()))


async def test_cancel_counts_more_than_a_timeout(
    sh: Script, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is cancelled while its program is being stopped is cancelled."""
    loop_time = LoopTime(monkeypatch)
    job = started({"command": sh(SLOW_TO_STOP + LOOP), "timeout": 600, "kill_after": 60})
    await until((tmp_path / "running").exists)
    loop_time.skip(600)
    await until((tmp_path / "asked").exists)
    job.stop()
    gate.open()
    assert await job.confirmed() == STOPPED


def test_processes_that_a_program_leaves_behind_end_with_it(
    do: Do, sh: Script, tmp_path: Path
) -> None:
    """No process of a finished job runs, and the job does not wait for one either."""
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
def test_programs_end_with_a_gateway_that_is_killed(tmp_path: Path, eventually: Eventually) -> None:
    """With all processes that they have started; else they would work beside the next delivery."""
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
    job = started({"command": sh("echo $$ > pid; exec sleep 100"), "kill_after": 0})
    program, guard = await running(tmp_path / "pid")
    guard.send_signal(number)
    program.send_signal(signal.SIGINT)
    with pytest.raises(ApplicationError, match="sh was killed by SIGINT"):
        await job.task


async def test_program_does_not_outlive_its_guard(tmp_path: Path, sh: Script) -> None:
    """If the guard is killed, the program is killed too, and the error says so."""
    job = started({"command": sh("sleep 100 & echo Waiting >&2; echo $$ > pid; wait")})
    program, guard = await running(tmp_path / "pid")
    relatives = [program, *program.children()]
    await job.has_published(messages=1)  # so the gateway knows the program's process group
    guard.kill()
    words = "the guard process of sh ended unexpectedly, so sh was killed: Waiting"
    with pytest.raises(ApplicationError, match=words) as failed:
        await job.task
    assert (failed.value.type, failed.value.retryable) == ("program_guard_gone", True)
    await until(lambda: not any(runs(each) for each in relatives))


async def running(file: Path) -> tuple[psutil.Process, psutil.Process]:
    """Return the process whose id a file has, once it has, and its guard."""
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
    """Return whether a process exists and is not a zombie: without its guard, init must reap it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
