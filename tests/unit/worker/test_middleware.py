"""Middleware: code around each job."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.testing import run_job
from kafka_bridge.worker import ApplicationError, Backoff, CallNext, JobContext, Worker

TENANT: ContextVar[str] = ContextVar("TENANT", default="nobody")
KINDS = ["sync", "async"]


class Log:
    """A worker whose middleware and handlers log what they see."""

    def __init__(self) -> None:
        self.worker = Worker("g")
        self.lines: list[str] = []
        for kind in KINDS:
            self.worker.job(kind, retries=1, backoff=Backoff(initial_interval=0, jitter=0))(
                self.coroutine if kind == "async" else self.function
            )

    def add(self, kind: str, name: str) -> None:
        """Add a middleware."""

        def function(job: JobContext, call_next: CallNext) -> Any:
            before = self.enter(name)
            try:
                result = call_next()
            except BaseException as error:
                self.lines.append(f"{name} sees {type(error).__name__}")
                raise
            self.lines.append(f"{name} sees {result}")
            TENANT.reset(before)
            return result

        async def coroutine(job: JobContext, call_next: CallNext) -> Any:
            before = self.enter(name)
            await asyncio.sleep(0)
            try:
                result = await call_next()
            except BaseException as error:
                self.lines.append(f"{name} sees {type(error).__name__}")
                raise
            self.lines.append(f"{name} sees {result}")
            TENANT.reset(before)
            return result

        self.worker.middleware(coroutine if kind == "async" else function)

    def enter(self, name: str) -> Any:
        """Log the begin of a middleware."""
        self.lines.append(f"{name} begins")
        return TENANT.set(f"{TENANT.get()} {name}")

    def function(self, _: JobContext, payload: int) -> int:
        """Log the tenant, and return the payload."""
        self.lines.append(f"handler of {TENANT.get()}")
        return 10 // payload

    async def coroutine(self, job: JobContext, payload: int) -> int:
        """Do the same as a coroutine."""
        await asyncio.sleep(0)
        return self.function(job, payload)


@pytest.fixture
def log() -> Log:
    """Give a log."""
    return Log()


@pytest.mark.parametrize("handler", KINDS)
@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
def test_first_one_is_the_outermost_and_the_handler_sees_what_they_set(
    log: Log, outer: str, inner: str, handler: str
) -> None:
    """Whichever of them is async: context variables reach the handler, results come back."""
    log.add(outer, "outer")
    log.add(inner, "inner")
    assert run_job(log.worker, handler, 5).result == 2
    assert log.lines == [
        "outer begins", "inner begins", "handler of nobody outer inner",
        "inner sees 2", "outer sees 2",
    ]  # fmt: skip


@pytest.mark.parametrize("handler", KINDS)
@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
def test_it_sees_the_last_error_after_all_retries(
    log: Log, outer: str, inner: str, handler: str
) -> None:
    """It is around the job, not around each try."""
    log.add(outer, "outer")
    log.add(inner, "inner")
    error = run_job(log.worker, handler, 0).error
    assert error is not None
    assert error.type == "ZeroDivisionError"
    assert [each for each in log.lines if "sees" in each] == [
        "inner sees ZeroDivisionError", "outer sees ZeroDivisionError",
    ]  # fmt: skip
    assert len([each for each in log.lines if each.startswith("handler")]) == 2


@pytest.mark.parametrize("handler", KINDS)
@pytest.mark.parametrize("middleware", KINDS)
def test_it_sees_an_invalid_payload(log: Log, middleware: str, handler: str) -> None:
    """Also a job whose handler is not called."""
    log.add(middleware, "outer")
    error = run_job(log.worker, handler, "five").error
    assert error is not None
    assert error.type == "invalid_payload"
    assert log.lines == ["outer begins", "outer sees ApplicationError"]


@pytest.mark.parametrize("handler", KINDS)
@pytest.mark.parametrize("middleware", KINDS)
def test_it_sees_a_stop_and_may_still_await(log: Log, middleware: str, handler: str) -> None:
    """The job ends as cancelled, after the middleware has done what it has to."""

    async def waits(job: JobContext) -> None:
        await asyncio.sleep(60)

    log.add("async", "outer")
    log.add(middleware, "inner")
    log.worker.job("waits")(waits if handler == "async" else lambda job: job.sleep(60))
    assert run_job(log.worker, "waits", cancel_after=0.2).state == "CANCELLED"
    stop = "CancelledError" if handler == "async" else "JobStopped"
    assert log.lines == [
        "outer begins", "inner begins", f"inner sees {stop}", f"outer sees {stop}",
    ]  # fmt: skip


@pytest.mark.parametrize("handler", KINDS)
def test_what_it_returns_is_the_result_and_what_it_raises_is_the_error(
    log: Log, handler: str
) -> None:
    """Without a call of the rest, the handler does not run."""

    @log.worker.middleware
    def only_small(job: JobContext, call_next: CallNext) -> Any:
        if job.request.payload == b"2":
            return {"answer": call_next()}
        raise ApplicationError("too large", type="refused")

    assert run_job(log.worker, handler, 2).result == {"answer": 5}
    error = run_job(log.worker, handler, 9).error
    assert error is not None
    assert error.type == "refused"
    assert len(log.lines) == 1


def test_coroutine_that_a_decorator_hides_is_recognised(log: Log) -> None:
    """As for handlers."""

    async def counts(job: JobContext, call_next: CallNext) -> Any:
        return await call_next() + 1

    @log.worker.middleware
    @functools.wraps(counts)
    def hidden(*args: Any) -> Any:
        return counts(*args)

    assert run_job(log.worker, "sync", 5).result == 3


def generator(job: JobContext, call_next: CallNext) -> Any:
    """Be a generator, as in other frameworks."""
    yield


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (generator, r"generator is a generator: call call_next\(\) where it has the yield"),
        (lambda job: job, r"must take \(job, call_next\): too many positional arguments"),
    ],
)
def test_what_cannot_be_right_is_refused(function: Callable[..., Any], words: str) -> None:
    """When it is registered."""
    with pytest.raises(ConfigurationError, match=words):
        Worker("g").middleware(function)
