"""Runs a job inside its middleware: the first one is the outermost."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.middleware import Middleware
from kafka_bridge.worker.runtime.job_thread import JobThread


def around(
    middlewares: Sequence[Middleware],
    job: JobContext,
    innermost: Callable[[], Any],
    thread: JobThread,
) -> Any:
    """Run a function inside middleware, on the job's thread; return the result of the outermost.

    Async middleware runs on the event loop, and what it calls on this thread again.
    """
    call = innermost
    for each in reversed(middlewares):
        call = partial(_layer, each, job, call, thread)
    return call()


def _layer(
    middleware: Middleware, job: JobContext, call_next: Callable[[], Any], thread: JobThread
) -> Any:
    if middleware.is_async:
        return thread.run(middleware.function(job, partial(thread.call, call_next)))
    return middleware.function(job, call_next)


async def around_on_loop(
    middlewares: Sequence[Middleware],
    job: JobContext,
    innermost: Callable[[], Coroutine[Any, Any, Any]],
) -> Any:
    """Do the same with a coroutine function, in a task of the event loop: all are async."""
    call: Callable[[], Any] = innermost
    for each in reversed(middlewares):
        call = partial(each.function, job, call)
    return await call()
