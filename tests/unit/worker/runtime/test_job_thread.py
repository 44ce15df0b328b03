"""The thread of a job and the event loop: each runs for the other what is of its kind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from kafka_bridge.worker import StopReason
from kafka_bridge.worker.cancellation import JobStopped, StopSignal
from kafka_bridge.worker.runtime.event_loop import event_loop
from kafka_bridge.worker.runtime.job_thread import JobThread

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


@pytest.fixture
def stop() -> StopSignal:
    """Give a stop signal."""
    return StopSignal()


@pytest.fixture
def thread(stop: StopSignal) -> Iterator[JobThread]:
    """Give a job's thread: that of the test."""
    with event_loop() as loop:
        yield JobThread(loop, stop)


def test_function_of_a_coroutine_runs_on_the_thread_of_the_job(thread: JobThread) -> None:
    """However deep they are nested, with the context variables of what calls."""
    seen: list[tuple[bool, str]] = []
    here = threading.get_ident()

    def look() -> str:
        seen.append((threading.get_ident() == here, WHO.get()))
        return "found"

    async def inner() -> str:
        seen.append((threading.get_ident() == here, WHO.get()))
        WHO.set("inner")
        return str(await thread.call(look))

    async def outer() -> str:
        WHO.set("outer")
        return str(await thread.call(lambda: thread.run(inner())))

    assert thread.run(outer()) == "found"
    assert seen == [(False, "outer"), (True, "inner")]


def test_coroutine_that_begins_after_the_stop_is_cancelled(
    thread: JobThread, stop: StopSignal
) -> None:
    """The first one of a job, and each that follows."""
    stop.set(StopReason.CANCELLED, "not wanted")
    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            thread.run(asyncio.sleep(60))


def test_coroutine_is_cancelled_once_and_may_await_what_it_has_to(
    thread: JobThread, stop: StopSignal
) -> None:
    """Several coroutines came before it: the job has retries."""
    for _ in range(3):
        thread.run(asyncio.sleep(0))

    async def cleans_up() -> None:
        try:
            stop.set(StopReason.CANCELLED, "not wanted")
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            WHO.set("clean")
            cleaned.append(WHO.get())

    cleaned: list[str] = []
    with pytest.raises(asyncio.CancelledError):
        thread.run(cleans_up())
    assert cleaned == ["clean"]


def test_stop_does_not_interrupt_the_wait_for_a_function(
    thread: JobThread, stop: StopSignal
) -> None:
    """The function looks by itself; the coroutine sees how it ended, and goes on."""
    log: list[str] = []

    def work() -> None:
        stop.set(StopReason.RELEASED, "the worker ends")
        stop.check()

    async def around() -> None:
        try:
            await thread.call(work)
        finally:
            await asyncio.sleep(0)
            log.append("measured")

    with pytest.raises(JobStopped):
        thread.run(around())
    assert log == ["measured"]


def test_timeout_of_a_coroutine_counts_when_the_function_has_ended(thread: JobThread) -> None:
    """A thread cannot be interrupted."""
    log: list[str] = []
    timed_out = threading.Event()

    async def around() -> None:
        asyncio.get_running_loop().call_later(0.02, timed_out.set)
        async with asyncio.timeout(0.01):
            await thread.call(lambda: log.append(str(timed_out.wait(30))))

    with pytest.raises(TimeoutError):
        thread.run(around())
    assert log == ["True"]
