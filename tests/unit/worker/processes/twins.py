"""Handlers that are registered twice: for a thread, and for a process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel

from kafka_bridge.worker import ApplicationError, Backoff, CallNext, Depends, JobContext, Worker


@contextlib.asynccontextmanager
async def lifespan(_: Worker) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Give what belongs to this process, as a pool of connections does."""
    yield asyncio.get_running_loop()


worker = Worker("twins", worker_id="w-1", kill_after=0.5, lifespan=lifespan)
QUICK = Backoff(initial_interval=0.01, jitter=0)
F = TypeVar("F", bound=Callable[..., Any])
TENANT: ContextVar[str] = ContextVar("TENANT", default="nobody")
THREAD, PROCESS = ".thread", ".process"


class Order(BaseModel):
    """What to multiply."""

    number: int


@dataclass
class Product:
    """A result of the service's own type."""

    product: int


def both(job_type: str, **options: Any) -> Callable[[F], F]:
    """Register a handler for a thread and for a process."""

    def register(function: F) -> F:
        worker.job(job_type + THREAD, **options)(function)
        worker.job(job_type + PROCESS, process=True, **options)(function)
        return function

    return register


@both("multiply")
def multiply(job: JobContext, payload: Order) -> Product:
    """Return an object of the service's own."""
    job.set_external_id("batch-7")
    job.progress(1, total=1, unit="steps", message="done")
    return Product(payload.number * 2)


@both("raw")
def raw(job: JobContext, payload: bytes) -> bytes:
    """Return bytes."""
    return payload[::-1]


@worker.middleware
async def tenant(job: JobContext, call_next: CallNext) -> object:
    """Set what handlers see."""
    TENANT.set("ours")
    return await call_next()


def session(job: JobContext) -> Iterator[str]:
    """Open and close what a handler asks for."""
    yield f"session of {TENANT.get()}"


@both("surrounded")
def surrounded(job: JobContext, session: Annotated[str, Depends(session)]) -> str:
    """Use what middleware and dependencies give."""
    return session


@both("state")
async def state(job: JobContext) -> bool:
    """Use what the lifespan has opened."""
    return job.state is asyncio.get_running_loop()


@both("nothing")
def nothing(job: JobContext) -> None:
    """Return nothing."""


@both("fails", retries=1, backoff=QUICK)
def fails(job: JobContext) -> None:
    """Fail, and again."""
    raise ValueError("no such file")


@both("chooses")
def chooses(job: JobContext) -> None:
    """Choose the task's error."""
    raise ApplicationError("no bucket", type="bucket_missing", details="see there", retryable=False)


@both("final", retries=5, non_retryable_errors=(KeyError,))
def final(job: JobContext) -> None:
    """Fail in a way after which the worker does not try again."""
    raise KeyError("name")


@both("exits")
def exits(job: JobContext) -> None:
    """Exit as a script does."""
    sys.exit(3)


@both("unserialisable")
def unserialisable(job: JobContext) -> dict[str, list[float]]:
    """Return what JSON does not have."""
    return {"a": [math.nan]}


@both("saves")
def saves(job: JobContext, payload: Any) -> Any:
    """Save a checkpoint, and return what was there before."""
    before = job.checkpoint
    job.save_checkpoint(payload)
    assert job.checkpoint == payload
    return before


@both("misnamed")
def misnamed(job: JobContext) -> None:
    """Give an external id that is not text."""
    job.set_external_id(7)  # type: ignore[arg-type]


@both("group")
async def group(job: JobContext) -> None:
    """Fail in a task group."""

    async def fail(words: str) -> None:
        raise ApplicationError(words)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail("first"))
        tasks.create_task(fail("second"))


@both("waits")
def waits(job: JobContext) -> None:
    """Wait for a stop request."""
    job.message("waiting")
    job.sleep(60)


@both("waits.async")
async def waits_async(job: JobContext) -> None:
    """Wait for a stop request in a coroutine."""
    job.message("waiting")
    await asyncio.sleep(60)


@worker.job("stuck" + PROCESS, process=True, time_limit=0.3, kill_after=0.2)
def stuck(job: JobContext) -> None:
    """Hang in native code: no other thread of the process runs meanwhile."""
    ctypes.PyDLL(None).sleep(600)
