"""The job types that `kafka-bridge conformance` asks for, by the Python SDK.

    kafka-bridge conformance --command "kafka-bridge worker run conformance_service:worker"

docs/how-to/check-a-worker.md says what each one does.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from kafka_bridge.worker import ApplicationError, JobContext, Worker

worker = Worker.from_env()
NOTES = os.environ.get("KAFKA_BRIDGE_CONFORMANCE_NOTES", os.devnull)


class Sleep(BaseModel):
    """For how long, and whether stop requests are ignored."""

    seconds: float
    stubborn: bool = False


class Steps(BaseModel):
    """How many steps, and how many seconds each of them takes."""

    steps: int
    seconds: float


class Failure(BaseModel):
    """The error to fail with."""

    type: str
    message: str
    retryable: bool


@contextmanager
def noted(job: JobContext) -> Iterator[None]:
    """Note that the handler is called, and that it returns."""
    _note("started", job)
    try:
        yield
    finally:
        _note("ended", job)


def _note(word: str, job: JobContext) -> None:
    # One write for each line: several processes share the file.
    file = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word} {job.correlation_id}\n".encode())
    os.close(file)


@worker.job("test.echo")
def echo(job: JobContext, payload: bytes) -> dict[str, Any]:
    with noted(job):
        kind = job.request.payload_type
        if kind is None:
            return {"type": None}
        if kind.partition(";")[0].strip().lower().endswith(("/json", "+json")):
            return {"type": kind, "json": json.loads(payload)}
        return {"type": kind, "base64": base64.b64encode(payload).decode()}


@worker.job("test.bytes")
def all_bytes(job: JobContext) -> bytes:
    with noted(job):
        return bytes(range(256))


@worker.job("test.sleep")
def sleep(job: JobContext, payload: Sleep) -> dict[str, float]:
    with noted(job):
        if payload.stubborn:
            time.sleep(payload.seconds)
        else:
            job.sleep(payload.seconds)
        return {"slept": payload.seconds}


@worker.job("test.progress")
def progress(job: JobContext, payload: Steps) -> dict[str, int]:
    with noted(job):
        for step in range(1, payload.steps + 1):
            time.sleep(payload.seconds)
            job.progress(step, total=payload.steps, unit="steps")
        return {"steps": payload.steps}


@worker.job("test.fail")
def fail(job: JobContext, payload: Failure) -> None:
    with noted(job):
        raise ApplicationError(payload.message, type=payload.type, retryable=payload.retryable)


@worker.job("test.crash")
def crash(job: JobContext) -> dict[str, int]:
    with noted(job):
        if job.delivery == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"delivery": job.delivery}
