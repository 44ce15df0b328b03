"""The pool of child processes: starts that fail, replacements, and its end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.processes import process as process_module
from kafka_bridge.worker.processes.messages import Program
from kafka_bridge.worker.processes.metrics import PoolMetrics
from kafka_bridge.worker.processes.pool import Pool, PoolLimits, Why
from kafka_bridge.worker.processes.process import ChildProcess

from . import twins
from .twins import PROCESS

if TYPE_CHECKING:
    from conftest import Eventually

pytestmark = pytest.mark.slow
TWINS = twins.__name__


def program(module: str = TWINS, attribute: str = "worker", *job_types: str) -> Program:
    """Return a program for child processes."""
    return Program(module, attribute, frozenset(job_types or {"nothing" + PROCESS}))


@contextmanager
def pool(**limits: Any) -> Iterator[Pool]:
    """Give a pool of one process."""
    pool = Pool(program(), PoolLimits(1, **limits))
    pool.start()
    try:
        yield pool
    finally:
        pool.close(1.0)
    assert pool.size == 0


def proceed() -> None:
    """Let a job wait for its process."""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            program("no.such.module"),
            "no.such.module cannot be imported in a child process: ModuleN",
        ),
        (program(TWINS, "nothing_there"), "nothing_there has no handler for nothing.process there"),
        (program(TWINS, "worker", "other"), "register all handlers when the module is imported"),
    ],
)
def test_program_that_cannot_be_loaded_is_an_error_at_the_start(given: Program, words: str) -> None:
    """In words, with what is wrong; no process is left."""
    broken = Pool(given, PoolLimits(1))
    with pytest.raises(ConfigurationError, match=words):
        broken.start()
    broken.close(0.0)
    assert broken.size == 0


def test_script_that_runs_its_worker_without_a_guard_is_told_so(tmp_path: Path) -> None:
    """Its child would run a worker, too."""
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from kafka_bridge.worker import Worker\n"
        "worker = Worker('g', kafka={'bootstrap.servers': '127.0.0.1:9'})\n"
        "worker.job('a.job', process=True)(lambda job: None)\n"
        "worker.run()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1
    assert 'Put the call of run() below: if __name__ == "__main__":' in done.stderr


def test_process_is_used_again_until_it_has_done_its_jobs() -> None:
    """Then another one is there."""
    with pool(most_jobs=2) as two:
        pids = []
        for _ in range(3):
            with two.process(proceed) as process:
                pids.append(process.pid)
        assert pids[0] == pids[1] != pids[2]
        assert two.ends[Why.JOBS] == 1


def test_process_that_has_kept_much_memory_is_replaced() -> None:
    """The job after a leak has a fresh process."""
    with pool(most_memory=1) as small:
        with small.process(proceed) as first:
            pass
        with small.process(proceed) as second:
            assert second.pid != first.pid
        assert small.ends[Why.MEMORY] == 2


def test_idle_process_that_was_killed_is_replaced(eventually: Eventually) -> None:
    """The next job does not notice."""
    with pool() as one:
        with one.process(proceed) as process:
            pass
        os.kill(process.pid, signal.SIGKILL)
        eventually(lambda: one.ends[Why.DIED] == 1, "its end is noticed")
        with one.process(proceed) as another:
            assert another.pid != process.pid
        assert str(process.end).startswith("was ended by SIGKILL")


def test_process_that_must_not_run_is_killed_at_the_end() -> None:
    """Close() waits for a job no longer than it is told."""
    one = Pool(program(), PoolLimits(1))
    one.start()
    taken = one.process(proceed)
    process = taken.__enter__()
    one.close(0.1)
    assert process.has_ended()
    taken.__exit__(None, None, None)
    assert one.size == 0


def test_job_that_has_to_stop_does_not_wait_for_a_process() -> None:
    """What the check raises passes, and the process is kept for the next job."""

    class Stop(BaseException):
        """The job has to stop."""

    def stop() -> None:
        raise Stop

    with pool() as one:
        with one.process(proceed) as process:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
        with pytest.raises(Stop), one.process(stop):
            pass
        with one.process(proceed) as another:
            assert another.is_ready


def test_failed_starts_are_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A system that is short of processes for a moment fails no job."""
    with pool() as one:
        with one.process(proceed) as process:
            failing = [OSError(11, "Resource temporarily unavailable")] * 2
            _fail_starts(monkeypatch, failing)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
        with caplog.at_level(logging.ERROR), one.process(proceed) as another:
            assert another.is_ready
        assert "a child process cannot be started: Resource temporarily" in caplog.text
        assert failing == []


def _fail_starts(monkeypatch: pytest.MonkeyPatch, errors: list[OSError]) -> None:
    start: Callable[[], Any] = process_module._start

    def fail() -> Any:
        if errors:
            raise errors.pop()
        return start()

    monkeypatch.setattr(process_module, "_start", fail)


def test_metrics_count_processes_and_their_ends() -> None:
    """By reason."""
    with pool(most_jobs=1) as one:
        with one.process(proceed):
            pass
        processes, ends = PoolMetrics(one).collect()
        assert processes.samples[0].value >= 1
        assert {each.labels["reason"]: each.value for each in ends.samples}["max_jobs"] == 1


def test_process_knows_its_memory() -> None:
    """Read from /proc."""
    child = ChildProcess(program())
    while not child.wait_until_ready(1.0):
        pass
    assert 1_000_000 < child.memory() < 10**9
    child.kill()
    assert child.memory() == 0
    child.close()
