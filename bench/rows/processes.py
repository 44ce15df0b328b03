"""Jobs that keep a processor busy, in child processes: ours and Celery's prefork pool.

Four jobs of half a second of processor time arrive at once at a worker that is warm. The time is
from the first request until the last job has ended. Celery's broker is a folder, so that no network
and no server costs time; ours is Kafka, with all guarantees.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.measure import Result, Round, Scale
from bench.peers.cpu_work import SECONDS
from bench.rows.worker import Stage, end_program, environment
from bench.traffic import job_ids

JOBS = 4
PROCESSES = (4, 1)
GIVE_UP_SECONDS = 300.0


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    results = []
    for processes in PROCESSES:
        result = Result(
            f"worker: {JOBS} jobs of {SECONDS:g} s of processor time at once, {processes} "
            f"{'processes' if processes > 1 else 'process'}",
            f"Celery's prefork worker, {processes} of them, its broker a folder",
            "s",
            None,
            note=f"{os.cpu_count()} processors",
        )
        for number in range(1 if scale.short else scale.rounds()):
            say(f"processes, {processes}, round {number + 1}")
            result.rounds.append(Round(_ours(servers, processes), _celery(processes)))
        results.append(result)
    return results


def _ours(servers: str, processes: int) -> float:
    with contextlib.ExitStack() as stack:
        stage = Stage(servers, stack)
        stack.enter_context(environment(KAFKA_BRIDGE_PROCESSES=str(processes)))
        warm_up = job_ids(2 * processes)
        stage.publish(warm_up)
        with stage.program("processes"):
            stage.ends(len(warm_up))
            begin = time.time()
            stage.publish(job_ids(JOBS))
            ends = stage.ends(len(warm_up) + JOBS)
        return max(each.timestamp()[1] for each in ends) / 1000 - begin


def _celery(processes: int) -> float:
    with tempfile.TemporaryDirectory() as folder, environment(BENCH_CELERY_FOLDER=folder):
        from bench.peers.celery_tasks import celery_in

        app = celery_in(Path(folder))
        with _celery_worker(processes):
            _celery_times(app, 2 * processes)  # until all of them are warm
            begin = time.time()
            return max(_celery_times(app, JOBS)) - begin


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


def _celery_times(app: Any, count: int) -> list[float]:
    """Have so many tasks done by Celery; return when each one ended, in seconds since 1970."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    waiting = [app.send_task("work") for _ in range(count)]
    while not all(each.ready() for each in waiting):
        if time.monotonic() > give_up:
            raise RuntimeError(f"Celery has not done {count} tasks in {GIVE_UP_SECONDS:g} s")
        time.sleep(0.02)
    return [float(each.result) for each in waiting]
