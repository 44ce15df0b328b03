"""Handlers that do what nobody expects: ``kafka-bridge worker run odd_handlers:worker``.

They fork, in every way that Python has, and leave things behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

from kafka_bridge.worker import ApplicationError, JobContext, Worker

worker = Worker.from_env()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
forking = multiprocessing.get_context("fork")
NOTES = Path(os.environ["NOTES"])
CHILD_SECONDS = 20.0
"""How long a child may take to end, much longer than it does."""


def note(what: str, job: JobContext, process: int) -> None:
    """Write a line, whole: processes share the file."""
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{what} {job.correlation_id} {process}\n".encode())
    os.close(descriptor)


def code_of(child: int) -> int:
    """Return the exit code of a forked child.

    :raises TimeoutError: it stays; it is killed
    """
    give_up = time.monotonic() + CHILD_SECONDS
    while time.monotonic() < give_up:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError("the child stays")


def end_of(child: ForkProcess) -> int:
    """Wait for a child process; return its exit code.

    A process that another thread starts looks after all children, too (``multiprocessing``'s
    ``_cleanup``): for a moment, ``exitcode`` is None here although the child has ended.

    :raises TimeoutError: it stays; it is killed
    """
    give_up = time.monotonic() + CHILD_SECONDS
    while time.monotonic() < give_up:
        child.join(1)
        if child.exitcode is not None:
            return child.exitcode
        time.sleep(0.01)
    child.kill()
    raise TimeoutError("the child stays")


@worker.job("child.terminated")
def terminated(job: JobContext) -> list[int]:
    """Terminate children as soon as they are started; return their exit codes."""
    codes = set()
    for _ in range(20):
        child = forking.Process(target=time.sleep, args=(60,))
        child.start()
        child.terminate()
        codes.add(end_of(child))
    return sorted(codes)


def sleep_once(ready: Connection) -> None:
    """Tell that this process runs, and sleep."""
    ready.send(True)
    time.sleep(60)


@worker.job("child.interrupted")
def interrupted(job: JobContext) -> int:
    """Send SIGINT to a child, as Ctrl-C does; return its exit code."""
    here, there = forking.Pipe()
    child = forking.Process(target=sleep_once, args=(there,))
    child.start()
    here.recv()
    os.kill(child.pid or 0, signal.SIGINT)
    return end_of(child)


@worker.job("child.pool")
def pool(job: JobContext) -> int:
    """Have pools do sums, and end them as a ``with`` block does: by SIGTERM."""
    total = 0
    for _ in range(5):
        with forking.Pool(2) as workers:
            total += sum(workers.map(abs, range(-9, 10)))
    return total


@worker.job("child.executor")
def executor(job: JobContext) -> int:
    """Have an executor of processes do a sum."""
    with ProcessPoolExecutor(2, mp_context=forking) as workers:
        return sum(workers.map(abs, range(-9, 10)))


@worker.job("child.exits")
def exits(job: JobContext, payload: int) -> int:
    """Fork, and exit in the child with sys.exit(), after it tried to act as the job."""
    child = os.fork()
    if child == 0:
        gc.collect()
        job.set_external_id("of the child")
        job.message("from the child")
        job.progress(1, total=1, message="from the child")
        job.sleep(0.01)
        sys.exit(payload)
    return code_of(child)


@worker.job("child.raises", retries=3)
def raises(job: JobContext) -> int:
    """Fork, and raise in the child; it must not be tried again there."""
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    return code_of(child)


@worker.job("child.returns")
def returns(job: JobContext) -> int:
    """Fork, and return in the child: it has not ended the job."""
    child = os.fork()
    return 77 if child == 0 else code_of(child)


@worker.job("child.exits.async")
async def exits_async(job: JobContext) -> int:
    """Fork in a coroutine, and exit in the child."""
    child = os.fork()
    if child == 0:
        sys.exit(3)
    return await asyncio.to_thread(code_of, child)


@worker.job("leaves.child")
def leaves_child(job: JobContext, payload: bool) -> None:
    """Start a child that outlasts the job; a daemon, or one that Python waits for at its exit."""
    child = forking.Process(target=time.sleep, args=(600,), daemon=payload)
    child.start()
    note("left", job, child.pid or 0)


@worker.job("leaves.thread")
async def leaves_thread(job: JobContext) -> None:
    """Block a thread of asyncio's own executor, which Python waits for at its exit."""
    note("left", job, 0)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.to_thread(time.sleep, 600)


@worker.job("group")
async def group(job: JobContext) -> None:
    """Fail in a task group."""

    async def fail() -> None:
        raise ApplicationError("no such bucket", type="bucket_missing", retryable=False)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())
        tasks.create_task(asyncio.sleep(60))


@worker.job("huge")
def huge(job: JobContext, payload: int) -> str:
    """Name the work, report and return in texts of so many bytes."""
    job.set_external_id("i" * payload)
    job.message("m" * payload)
    return "r" * payload


@worker.job("chatty")
def chatty(job: JobContext) -> None:
    """Report much more often than is sent, and once more before the end."""
    for step in range(150):
        job.progress(step)
        time.sleep(0.01)
    job.progress(1_000, message="all done")
