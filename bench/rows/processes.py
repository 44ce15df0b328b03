"""Jobs in child processes: ours and Celery's prefork pool.

*At once*: four jobs of half a second of processor time arrive at a worker that is warm. The time is
from the first request until the last job has ended.

*Jobs/s*: jobs that do nothing are queued before the worker starts. The rate counts from the end of
the first job to that of the last one, so that the start is not measured.

*Latency*: jobs that do nothing, one after the other: from the request to the end of the job.

Celery's broker and results are in a Redis that keeps nothing on disk, and Celery acknowledges a
task before it runs. Ours is Kafka, with all guarantees.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.measure import Result, Round, Scale, percentile
from bench.peers.cpu_work import SECONDS_VARIABLE
from bench.redis_server import redis_server
from bench.rows.worker import Stage, end_program, environment
from bench.traffic import job_ids

JOBS, SECONDS = 4, 0.5
PROCESSES = (4, 1)
SMALL_JOBS, SAMPLES = 5_000, 200
SMALL_PROCESSES = 2
GIVE_UP_SECONDS = 300.0


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    rounds = 1 if scale.short else scale.rounds()
    with redis_server() as url, environment(BENCH_REDIS=url):
        from bench.peers.celery_tasks import app

        return [
            *(_at_once(servers, app, processes, rounds, say) for processes in PROCESSES),
            _rate(servers, app, scale.size(SMALL_JOBS), rounds, say),
            *_latency(servers, app, scale.size(SAMPLES), say),
        ]


def _peer(processes: int) -> str:
    return f"Celery's prefork worker, {processes} of them, with Redis"


def _at_once(
    servers: str, app: Any, processes: int, rounds: int, say: Callable[[str], None]
) -> Result:
    result = Result(
        f"worker: {JOBS} jobs of {SECONDS:g} s of processor time at once, {processes} "
        f"{'processes' if processes > 1 else 'process'}",
        _peer(processes),
        "s",
        None,
        note=f"{os.cpu_count()} processors",
    )
    for number in range(rounds):
        say(f"processes, {processes}, round {number + 1}")
        with _ours(servers, processes, SECONDS, 2 * processes) as worker:
            ours = _time(worker, JOBS)
        with _celery(app, processes, SECONDS, 2 * processes) as worker:
            result.rounds.append(Round(ours, _time(worker, JOBS)))
    return result


def _rate(servers: str, app: Any, jobs: int, rounds: int, say: Callable[[str], None]) -> Result:
    result = Result(
        f"worker: {jobs:,} no-op jobs in {SMALL_PROCESSES} processes, jobs/s",
        _peer(SMALL_PROCESSES),
        "jobs/s",
        None,
    )
    for number in range(rounds):
        say(f"processes, no-op jobs, round {number + 1}")
        with _ours(servers, SMALL_PROCESSES, 0, jobs) as worker:
            ours = _jobs_a_second(worker.ends())
        with _celery(app, SMALL_PROCESSES, 0, jobs) as worker:
            result.rounds.append(Round(ours, _jobs_a_second(worker.ends())))
    return result


def _jobs_a_second(ends: list[float]) -> float:
    return len(ends) / (max(ends) - min(ends))


def _latency(servers: str, app: Any, samples: int, say: Callable[[str], None]) -> list[Result]:
    say("processes, latency")
    with _ours(servers, SMALL_PROCESSES, 0, 2 * SMALL_PROCESSES) as worker:
        ours = [1000 * _time(worker, 1) for _ in range(samples)]
    with _celery(app, SMALL_PROCESSES, 0, 2 * SMALL_PROCESSES) as worker:
        peer = [1000 * _time(worker, 1) for _ in range(samples)]
    return [
        Result(
            f"worker: a no-op job in one of {SMALL_PROCESSES} processes, from request to end, "
            f"p{number}",
            _peer(SMALL_PROCESSES),
            "ms",
            None,
            [Round(percentile(ours, number), percentile(peer, number))],
        )
        for number in (50, 99)
    ]


class _Ours:
    """Our worker, and the jobs that it was given."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._jobs = 0

    def submit(self, jobs: int) -> None:
        """Publish requests."""
        self._jobs += jobs
        self._stage.publish(job_ids(jobs))

    def ends(self) -> list[float]:
        """Wait for all jobs; return when each one ended, in seconds since 1970."""
        return [each.timestamp()[1] / 1000 for each in self._stage.ends(self._jobs)[1:]]


class _Celery:
    """Celery's worker, and the tasks that it was given."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._tasks: list[Any] = []

    def submit(self, jobs: int) -> None:
        """Send tasks."""
        self._tasks += [self._app.send_task("work") for _ in range(jobs)]

    def ends(self) -> list[float]:
        """Wait for all tasks; return when each one ended, in seconds since 1970."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while not all(each.ready() for each in self._tasks):
            if time.monotonic() > give_up:
                raise RuntimeError(f"Celery has not done its tasks in {GIVE_UP_SECONDS:g} s")
            time.sleep(0.02)
        return [float(each.result) for each in self._tasks]

    def forget(self) -> None:
        """Drop the results: when they go, each one unsubscribes at Redis, or waits 20 s for it."""
        self._tasks.clear()
        gc.collect()


def _time(worker: _Ours | _Celery, jobs: int) -> float:
    """Return the seconds from a submission until the last job has ended; the worker is warm."""
    worker.ends()
    begin = time.time()
    worker.submit(jobs)
    return max(worker.ends()) - begin


@contextlib.contextmanager
def _ours(servers: str, processes: int, seconds: float, queued: int) -> Iterator[_Ours]:
    """Run our worker, with so many jobs of so many seconds queued before it starts."""
    with contextlib.ExitStack() as stack:
        stage = Stage(servers, stack)
        variables = {"KAFKA_BRIDGE_PROCESSES": str(processes), SECONDS_VARIABLE: str(seconds)}
        stack.enter_context(environment(**variables))
        worker = _Ours(stage)
        worker.submit(queued)
        stack.enter_context(stage.program("processes"))
        yield worker


@contextlib.contextmanager
def _celery(app: Any, processes: int, seconds: float, queued: int) -> Iterator[_Celery]:
    """Run Celery's worker in the same way."""
    worker = _Celery(app)
    worker.submit(queued)
    with environment(**{SECONDS_VARIABLE: str(seconds)}), _celery_worker(processes):
        yield worker
        worker.forget()


@contextlib.contextmanager
def _celery_worker(processes: int) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "--app", "bench.peers.celery_tasks", "worker"]
    options = ["--pool", "prefork", "--concurrency", str(processes), "--loglevel", "error"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    process = subprocess.Popen(
        [*command, *options, *quiet], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        end_program(process)
