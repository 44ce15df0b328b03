"""Handlers in child processes that die, hang or leave things behind.

``kafka-bridge worker run process_handlers:worker``.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from kafka_bridge.worker import JobContext, Worker

worker = Worker.from_env()
NOTES = Path(os.environ.get("NOTES", os.devnull))
GATE = Path(os.environ.get("GATE", os.devnull))
MIB = 1024 * 1024
log = logging.getLogger("process_handlers")


def note(what: str, job: JobContext, process: int) -> None:
    """Write a line, whole: processes share the file."""
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{what} {job.correlation_id} {process}\n".encode())
    os.close(descriptor)


def hang_in_native_code() -> None:
    """Hang as a faulty extension does: no other thread of this process runs meanwhile."""
    ctypes.PyDLL(None).sleep(600)


@worker.job("no-op", process=True)
def no_op(job: JobContext) -> int:
    """Do nothing, in this process."""
    return os.getpid()


@worker.job("thread")
def thread(job: JobContext) -> int:
    """Do nothing, in the worker itself."""
    return os.getpid()


@worker.job("tells", process=True)
def tells(job: JobContext, payload: int) -> dict[str, str | int | None]:
    """Report in every way, and return what the job knows of itself."""
    job.set_external_id("batch-7")
    for step in range(payload):
        job.progress(step + 1, total=payload, unit="steps", message=f"step {step + 1}")
    return {
        "external_id": job.external_id,
        "delivery": job.delivery,
        "trace": job.headers.get("traceparent"),
    }


@worker.job("logs")
@worker.job("logs.process", process=True)
def logs(job: JobContext) -> None:
    """Log in every way, and fail."""
    log.info("begun by %s", job.correlation_id)
    log.debug("not forwarded")
    log.warning("%d", "no number")
    log.error("two lines\nand a colour \x1b[31m")
    raise ValueError("no")


@worker.job("logs.async")
async def logs_async(job: JobContext) -> None:
    """Log from the event loop, and from a thread that it lends."""
    await asyncio.to_thread(logs, job)


@worker.job("segfault", process=True)
def segfault(job: JobContext) -> None:
    """Read where nothing is."""
    log.warning("about to read address %d", 0)
    ctypes.string_at(0)


@worker.job("exits.at.once", process=True)
def exits_at_once(job: JobContext, payload: int) -> None:
    """End the process as native code does."""
    os._exit(payload)


@worker.job("exits", process=True)
def exits(job: JobContext, payload: int) -> None:
    """End the process as a script does."""
    sys.exit(payload)


@worker.job("grows", process=True)
def grows(job: JobContext, payload: int) -> None:
    """Take more and more memory, up to so many MiB."""
    taken = []
    for _ in range(payload):
        taken.append(bytearray(MIB))
        time.sleep(0.005)


@worker.job("forks", process=True)
def forks(job: JobContext) -> int:
    """Fork; the child returns at once and must not end the job."""
    child = os.fork()
    if child == 0:
        job.message("from the child")
        return -1
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@worker.job("leaves", process=True)
def leaves(job: JobContext) -> int:
    """Leave a child that ignores everything but SIGKILL, and die."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    note("left", job, child)
    os._exit(1)


@worker.job("hangs", process=True)
def hangs(job: JobContext) -> None:
    """Start a child process, and hang."""
    child = os.fork()
    if child == 0:
        hang_in_native_code()
    note("child", job, child)
    note("hangs", job, os.getpid())
    hang_in_native_code()


@worker.job("patient", process=True)
def patient(job: JobContext) -> None:
    """Wait for a stop request."""
    note("patient", job, os.getpid())
    try:
        job.sleep(600)
    finally:
        note(f"stopped-{job.stop_reason}", job, os.getpid())


@worker.job("patient.async", process=True)
async def patient_async(job: JobContext) -> None:
    """Wait for a stop request in a coroutine."""
    note("patient", job, os.getpid())
    try:
        await asyncio.sleep(600)
    finally:
        note(f"stopped-{job.stop_reason}", job, os.getpid())


@worker.job("resume")
@worker.job("resume.process", process=True)
def resume(job: JobContext, payload: int) -> Any:
    """Save which deliveries there were, and wait; the last one returns what it found."""
    if job.delivery == payload:
        return job.checkpoint
    job.save_checkpoint([*(job.checkpoint or []), job.delivery])
    job.sleep(600)
    return None


@worker.job("work.process", process=True)
def work(job: JobContext, payload: int) -> int:
    """Take so many milliseconds; say when it began."""
    note(f"began-at-{time.time_ns() // 1_000_000}", job, os.getpid())
    time.sleep(payload / 1000)
    return payload


@worker.job("gated", process=True)
def gated(job: JobContext) -> str:
    """Wait for the gate, whatever signal comes."""
    note("gated", job, os.getpid())
    while not GATE.exists():
        time.sleep(0.02)
    return "through"
