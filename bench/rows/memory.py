"""Memory for each waiting job, against an asyncio task that waits on a future.

Measured is how much the resident size of a process grows: when 20,000 jobs wait, each in its own
task, and when 20,000 tasks wait, each on its own future. Each side runs in a new process.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection

import psutil

from bench.measure import Result, Round, Scale, Target
from bench.sides import OurSide, waiting
from bench.traffic import PARTITIONS, job_ids, new_topic

JOBS = 20_000


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the row."""
    row = Result(
        "memory for each waiting job",
        "an asyncio task that waits on a future",
        "bytes",
        Target("<=", 4096, "bytes more"),
        figure=lambda each: each.ours - each.peer,
    )
    with new_topic(servers) as topic:
        for number in range(scale.rounds()):
            say(f"memory, round {number + 1}")
            row.rounds.append(
                Round(_in_process(_ours, servers, topic), _in_process(_peer, servers, topic))
            )
    return [row]


def _in_process(measure: Callable[[Connection, str, str], None], servers: str, topic: str) -> float:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=measure, args=(there, servers, topic))
    process.start()
    size: float = here.recv()
    process.join()
    return size


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _ours(answer: Connection, servers: str, topic: str) -> None:
    async def measure() -> float:
        side, jobs = OurSide(servers, topic), job_ids(JOBS)
        tasks = await waiting(side.wait, job_ids(10), [0] * PARTITIONS)
        await side.ready(10)
        before = _resident()
        tasks += await waiting(side.wait, jobs, [0] * PARTITIONS)
        await side.ready(JOBS + 10)
        size = (_resident() - before) / JOBS
        for task in tasks:
            task.cancel()
        await side.close()
        return size

    answer.send(asyncio.run(measure()))


def _peer(answer: Connection, _: str, __: str) -> None:
    async def measure() -> float:
        loop, futures = asyncio.get_running_loop(), {}

        async def wait(job: str) -> None:
            future = futures[job] = loop.create_future()
            await future

        jobs = job_ids(JOBS)
        before = _resident()
        tasks = [asyncio.create_task(wait(job)) for job in jobs]
        await asyncio.sleep(0)
        size = (_resident() - before) / JOBS
        for task in tasks:
            task.cancel()
        return size

    answer.send(asyncio.run(measure()))
