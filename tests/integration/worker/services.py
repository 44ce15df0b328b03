"""Workers that the tests run as programs: ``kafka-bridge worker run services:<name>``.

Topics and group come from the environment, as a deployment sets them. Handlers write to the file
that NOTES names, so that a test sees what ran, and where, whatever became of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kafka_bridge.worker import ApplicationError, Backoff, JobContext, Worker
from kafka_bridge.worker.runtime import earlier_commits, partition

# A test of a few thousand jobs sees what takes a few hundred thousand otherwise.
earlier_commits.WORTHWHILE = int(os.environ.get("WORTHWHILE", earlier_commits.WORTHWHILE))
partition.SEEK_RECORDS = int(os.environ.get("SEEK_RECORDS", partition.SEEK_RECORDS))

worker = Worker.from_env()
log = logging.getLogger("services")

NOTES = Path(os.environ.get("NOTES", os.devnull))
GATE = Path(os.environ.get("GATE", os.devnull))
"""Handlers that wait do so until this file exists."""


def note(what: str, job: JobContext) -> None:
    """Write a line, whole: workers share the file."""
    line = f"{what} {job.correlation_id} {os.getpid()}\n"
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


class Order(BaseModel):
    """What to multiply."""

    number: int
    times: int = 2


class Failure(Exception):
    """An exception of the service's own."""


@worker.job("multiply")
def multiply(job: JobContext, payload: Order) -> dict[str, int]:
    """Multiply, and say how far it is: each figure is far enough from the last to be sent."""
    for step in range(1, 4):
        job.progress(step, total=3, unit="steps", message=f"step {step}")
        time.sleep(0.2)
    note("done", job)
    return {"product": payload.number * payload.times}


@worker.job("note")
def only_note(job: JobContext) -> None:
    """Do as good as nothing."""
    note("done", job)


@worker.job("tell")
def tell(job: JobContext) -> None:
    """Log a line with the job's id in it."""
    log.info("told %s", job.correlation_id)


@worker.job("tell.async")
async def tell_async(job: JobContext) -> None:
    """Log lines from the event loop, and from a thread that it lends."""
    await asyncio.sleep(0.05)
    log.info("told %s", job.correlation_id)
    await asyncio.to_thread(log.info, "told %s", job.correlation_id)


@worker.job("work")
def work(job: JobContext, payload: int) -> int:
    """Take so many milliseconds; say when it began."""
    note(f"began-at-{time.time_ns() // 1_000_000}", job)
    time.sleep(payload / 1000)
    return payload


@worker.job("wait")
def wait(job: JobContext) -> str:
    """Block the thread until the gate is open."""
    note("started", job)
    while not GATE.exists():
        time.sleep(0.02)
    note("done", job)
    return "waited"


@worker.job("block")
def block(job: JobContext, payload: float) -> str:
    """Block the thread for some seconds."""
    note("started", job)
    time.sleep(payload)
    note("done", job)
    return "blocked"


@worker.job("sleep")
async def sleep(job: JobContext, payload: float) -> str:
    """Await for some seconds."""
    await asyncio.sleep(payload)
    return "slept"


@worker.job("hog")
async def hog(job: JobContext) -> None:
    """Block the event loop, as a coroutine must not."""
    note("started", job)
    time.sleep(120)  # noqa: ASYNC251  that is what it is for


@worker.job("fail")
def fail(job: JobContext, payload: str) -> None:
    """Fail with an exception of the service's own, some frames down."""

    def deep_inside() -> None:
        raise Failure(payload)

    deep_inside()


@worker.job("refuse")
async def refuse(job: JobContext) -> None:
    """Fail for good, as a coroutine."""
    await asyncio.sleep(0)
    raise ApplicationError(
        "no such table", type="table_missing", details="looked in db1", retryable=False
    )


@worker.job("opaque")
def opaque(job: JobContext) -> Any:
    """Return what has no JSON form."""
    return {"rows": [1, {"handle": object()}]}


@worker.job("large")
def large(job: JobContext, payload: int) -> bytes:
    """Return so many bytes."""
    return bytes(payload)


@worker.job("patient")
def patient(job: JobContext) -> None:
    """Sleep until told to stop; note why."""
    note("started", job)
    try:
        job.sleep(3600)
    finally:
        note(f"stopped-{job.stop_reason}", job)


@worker.job("looks.up")
def looks_up(job: JobContext) -> None:
    """Work in small steps until told to stop; note why."""
    note("started", job)
    try:
        while True:
            job.raise_if_stopped()
            time.sleep(0.02)
    finally:
        note(f"stopped-{job.stop_reason}", job)


@worker.job("patient.async")
async def patient_async(job: JobContext) -> None:
    """Await until cancelled; note why."""
    note("started", job)
    try:
        await asyncio.sleep(3600)
    finally:
        note(f"stopped-{job.stop_reason}", job)


@worker.job("stubborn")
def stubborn(job: JobContext) -> str:
    """Hear that it should stop, and go on for a second."""
    note("started", job)
    while not job.stop_requested:
        time.sleep(0.02)
    time.sleep(1.0)
    return "done all the same"


@worker.job("narrow", concurrency=1)
def narrow(job: JobContext) -> None:
    """Wait for the gate; never two at a time in one process."""
    note("started", job)
    while not GATE.exists():
        time.sleep(0.02)
    time.sleep(0.05)
    note("done", job)


@worker.job("few", concurrency=5)
def few(job: JobContext) -> None:
    """Wait for the gate; never more than five at a time in one process."""
    note("started", job)
    while not GATE.exists():
        time.sleep(0.02)
    note("done", job)


SOON = Backoff(initial_interval=0.1, jitter=0)


def _fail_at_first(job: JobContext, times: int) -> str:
    note("tried", job)
    tries = sum(line.startswith(f"tried {job.correlation_id} ") for line in NOTES.open())
    if tries <= times:
        raise Failure(f"not yet at try {tries}")
    return f"done at try {tries}"


@worker.job("flaky", retries=2, backoff=SOON)
def flaky(job: JobContext, payload: int) -> str:
    """Fail so many times."""
    return _fail_at_first(job, payload)


@worker.job("flaky.async", retries=2, backoff=SOON)
async def flaky_async(job: JobContext, payload: int) -> str:
    """Fail so many times, as a coroutine."""
    await asyncio.sleep(0)
    return _fail_at_first(job, payload)


@worker.job("picky", retries=2, backoff=SOON, non_retryable_errors=(Failure,))
def picky(job: JobContext, payload: int) -> str:
    """Fail so many times, with what is not to be tried again."""
    return _fail_at_first(job, payload)


@worker.job("hopeless", retries=2, backoff=SOON)
def hopeless(job: JobContext) -> None:
    """Say that no retry can help."""
    note("tried", job)
    raise ApplicationError("no such table", type="table_missing", retryable=False)


@worker.job("slow.retries", retries=2, backoff=Backoff(initial_interval=60))
def slow_retries(job: JobContext) -> None:
    """Fail, to be tried again in a minute."""
    note("tried", job)
    raise Failure("not now")


@worker.job("die")
def die(job: JobContext, payload: int) -> None:
    """Take the whole process along, in two ways by turns; the first time once so many jobs run."""
    note("started", job)
    while job.delivery == 1 and NOTES.read_text().count("started") < payload:
        time.sleep(0.02)
    if job.delivery % 2:
        os._exit(1)
    os.kill(os.getpid(), signal.SIGKILL)
