"""Handlers in child processes, at a real worker on a real Kafka: deaths, kills, ends."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from integration.jobs import events
from integration.worker.endings import end_of, ends_of, how_often_ended, told
from integration.worker.programs import Program, Stage
from kafka_bridge.protocol.media_types import from_json
from kafka_bridge.protocol.messages import JobState, StatusEvent

if TYPE_CHECKING:
    from conftest import Eventually

S = JobState
RUNS = ("worker", "run", "process_handlers:worker")
CHURNED = int(os.environ.get("CHURNED", "1000"))
"""How many jobs get a process each."""
DIED = "process_died"


@pytest.fixture
def processes(stage: Stage) -> Stage:
    """Give a stage for these handlers."""
    stage.runs = RUNS
    return stage


def is_there(process: int) -> bool:
    """Tell whether a process runs, or is a zombie that nobody has collected."""
    return Path(f"/proc/{process}").exists()


def children_of(program: Program) -> set[int]:
    """Return the ids of the processes that a worker has started, zombies included."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(each.read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            continue
        if parent == program.process.pid:
            found.add(int(each.parent.name))
    return found


def process_of(stage: Stage, what: str) -> int:
    """Return the process that a handler has noted under this word."""
    lines = [line.split() for line in stage.notes.read_text().splitlines()]
    return next(int(process) for word, _, process in lines if word == what)


DEATHS: list[tuple[str, Any, str, str]] = [
    ("segfault", None, DIED, r"ended by SIGSEGV \(native code has crashed\); its peak .* \d+ MiB"),
    ("exits.at.once", 0, DIED, r"exited with code 0 before the handler returned; its peak memory"),
    ("exits.at.once", 3, DIED, r"exited with code 3 before the handler returned; its peak memory"),
    ("exits", 4, "SystemExit", r"^4$"),
    (
        "grows",
        2_000,
        "memory_limit_exceeded",
        r"was killed: it held \d+ MiB of memory, and max_memory_per_process is 200 MiB",
    ),
    ("leaves", None, DIED, "exited with code 1"),
]


def test_death_of_a_process_is_the_error_of_its_job_alone(
    processes: Stage, eventually: Eventually
) -> None:
    """It says what ended it; a retry may help; the next job has a process; nothing is left."""
    program = processes.start("--processes", "2", KAFKA_BRIDGE_MAX_MEMORY_PER_PROCESS="200MiB")
    jobs = [processes.request(job_type, payload) for job_type, payload, _, _ in DEATHS]
    others = [
        processes.request("tells", 3),
        processes.request("forks"),
        processes.request("thread"),
    ]
    processes.publish(*jobs, *others)
    ended = {each.correlation_id: each for each in ends_of(processes, [*jobs, *others])}
    for (job_type, _, kind, words), job in zip(DEATHS, jobs, strict=True):
        error = ended[job.correlation_id].error
        assert error is not None, job_type
        assert (error.type, error.retryable) == (kind, True)
        assert re.search(words, error.message), error.message
    tells, forks, thread = (ended[job.correlation_id] for job in others)
    assert from_json(tells.result or b"") == {
        "external_id": "batch-7",
        "delivery": 1,
        "trace": None,
    }
    said = events(processes.config, processes.responses, others[0].correlation_id)
    assert said[-2].message == "step 3"
    assert (from_json(forks.result or b""), from_json(thread.result or b"")) == (
        0,
        program.process.pid,
    )
    left = process_of(processes, "left")
    eventually(lambda: not is_there(left), "killed with the process that left it")
    assert program.stop() == 0
    eventually(lambda: not children_of(program), "no child outlives the worker")


def test_killed_process_is_replaced_whether_or_not_it_has_a_job(
    processes: Stage, eventually: Eventually
) -> None:
    """Its job fails and says so; an idle one is only replaced."""
    program = processes.start("--processes", "1")
    (idle,) = children_of(program)
    os.kill(idle, signal.SIGKILL)
    job = processes.request("patient")
    processes.publish(job)
    eventually(lambda: processes.noted("patient"), "another process has the job")
    os.kill(process_of(processes, "patient"), signal.SIGKILL)
    error = end_of(processes, job).error
    assert error is not None
    assert error.message.startswith("the process of the handler was ended by SIGKILL (by a person,")
    again = processes.request("no-op")
    processes.publish(again)
    assert end_of(processes, again).state is S.SUCCEEDED
    assert program.stop() == 0


def test_cancel_asks_first_and_then_kills(processes: Stage, eventually: Eventually) -> None:
    """Handlers that look are told why, and clean up; one that hangs is killed, and all of it."""
    program = processes.start("--processes", "3", KAFKA_BRIDGE_KILL_AFTER_SECONDS="2")
    jobs = [processes.request(each) for each in ("patient", "patient.async", "hangs")]
    processes.publish(*jobs)
    eventually(lambda: len(processes.noted("patient")) == 2 and processes.noted("hangs"), "all run")
    for job in jobs:
        processes.cancel(job, "cleared by alice")
    ended = {each.correlation_id: each for each in ends_of(processes, jobs)}
    patient, coroutine, hangs = (ended[job.correlation_id] for job in jobs)
    assert {each.state for each in ended.values()} == {S.CANCELLED}
    assert {patient.message, coroutine.message} == {"cleared by alice"}
    assert hangs.message == (
        "cleared by alice; the handler did not stop within 2 s, and its process was killed"
    )
    assert len(processes.noted("stopped-cancelled")) == 2
    killed = [process_of(processes, each) for each in ("hangs", "child")]
    eventually(lambda: not any(map(is_there, killed)), "the process and its own child are gone")
    assert program.stop() == 0


def test_processes_work_through_the_grace_of_their_worker(
    processes: Stage, eventually: Eventually
) -> None:
    """SIGTERM and SIGINT to every process, as systemd and Ctrl-C send them: the job succeeds."""
    program = processes.start("--processes", "1", "--grace", "60")
    job = processes.request("gated")
    processes.publish(job)
    eventually(lambda: processes.noted("gated"), "the job runs")
    child = process_of(processes, "gated")
    os.kill(child, signal.SIGINT)
    os.kill(child, signal.SIGTERM)
    program.process.terminate()
    program.until_said("Stopping: waiting up to 60 s")
    processes.gate.touch()
    assert end_of(processes, job).result == b'"through"'
    assert program.process.wait(60) == 0
    assert not is_there(child)


def test_worker_releases_what_its_processes_have_not_finished(
    processes: Stage, eventually: Eventually
) -> None:
    """After the grace the jobs are RELEASED; handlers are told, or killed; no process is left."""
    program = processes.start(
        "--processes", "2", "--grace", "0.5", KAFKA_BRIDGE_KILL_AFTER_SECONDS="1"
    )
    jobs = [processes.request("patient"), processes.request("hangs")]
    processes.publish(*jobs)
    eventually(lambda: processes.noted("patient") and processes.noted("hangs"), "both run")
    children = children_of(program) | {process_of(processes, "child")}
    assert program.stop() == 0
    assert processes.noted("stopped-released") == [jobs[0].correlation_id]
    assert how_often_ended(processes, jobs) == [0, 0]
    eventually(lambda: not any(map(is_there, children)), "no process is left")
    for job in jobs:
        assert last_of(processes, job.correlation_id).state is S.RELEASED


def last_of(stage: Stage, correlation_id: str) -> StatusEvent:
    """Return the last event of a job that has not ended."""
    return told(stage)[correlation_id][-1]


def test_no_process_outlives_a_killed_worker(processes: Stage, eventually: Eventually) -> None:
    """Not one that hangs in native code, not its own child; another worker does the jobs."""
    program = processes.start("--processes", "2")
    jobs = [processes.request("hangs"), processes.request("patient")]
    processes.publish(*jobs)
    eventually(lambda: processes.noted("patient") and processes.noted("hangs"), "both run")
    children = children_of(program) | {process_of(processes, "child")}
    assert len(children) == 3
    program.kill()
    eventually(lambda: not any(map(is_there, children)), "they end with the worker")
    processes.start("--processes", "2")
    eventually(lambda: len(processes.noted("patient")) == 2, "it is delivered again")


def test_process_is_replaced_after_its_jobs(processes: Stage, eventually: Eventually) -> None:
    """Each process has two jobs, and no more than two are there at a time."""
    program = processes.start("--processes", "1", KAFKA_BRIDGE_MAX_JOBS_PER_PROCESS="2")
    jobs = [processes.request("no-op") for _ in range(5)]
    processes.publish(*jobs)
    pids = [from_json(each.result or b"") for each in ends_of(processes, jobs)]
    assert [pids.count(each) for each in dict.fromkeys(pids)] == [2, 2, 1]
    assert program.stop() == 0


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_thousand_processes_do_a_thousand_jobs(processes: Stage) -> None:
    """Each job has a process of its own; no process is left, and no job is lost."""
    program = processes.start("--processes", "2", KAFKA_BRIDGE_MAX_JOBS_PER_PROCESS="1")
    began = time.monotonic()
    jobs = [processes.request("no-op") for _ in range(CHURNED)]
    processes.publish(*jobs)
    ended = ends_of(processes, jobs)
    assert {each.state for each in ended} == {S.SUCCEEDED}
    assert len({each.result for each in ended}) == CHURNED
    print(f"{CHURNED} processes in {time.monotonic() - began:.0f} s")  # noqa: T201
    assert len(children_of(program)) <= 4, "those that work, and those that just end"
    assert program.stop() == 0
