"""Calls a handler, with its retries, and turns what it raises into a failure.

The same code runs in the worker and in the child processes of :mod:`kafka_bridge.worker.processes`:
a job reads the same, wherever its handler runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from kafka_bridge.protocol.errors import PayloadNotSerialisable
from kafka_bridge.protocol.messages import JobFailure, JobRequest
from kafka_bridge.worker.cancellation import JobStopped, StopSignal
from kafka_bridge.worker.context import JobContext, JobEvents
from kafka_bridge.worker.errors import errors_in, failure, failure_of
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.retries import OnRetry
from kafka_bridge.worker.runtime import children
from kafka_bridge.worker.runtime.invocation import call_here, call_on_loop, in_any_thread
from kafka_bridge.worker.runtime.job_thread import JobThread
from kafka_bridge.worker.runtime.layers import around, around_on_loop
from kafka_bridge.worker.runtime.surroundings import Surroundings

NoteRetry: TypeAlias = Callable[[int, JobFailure, float], None]
"""Gets the number of the failed call, from 1, what failed, and the seconds until the next call."""


def call_handler(
    handler: Handler,
    request: JobRequest,
    events: JobEvents,
    stop: StopSignal,
    note_retry: NoteRetry,
    surroundings: Surroundings,
) -> Any:
    """Call a handler on this thread; return its result.

    What is async of it, of its dependencies or of the middleware runs on the event loop meanwhile.
    """
    context = JobContext(request, events, stop, surroundings.state)
    thread = JobThread(surroundings.loop, stop)

    def tries() -> Any:
        arguments = handler.arguments(request)

        def call() -> Any:
            with children.ending():
                return call_here(handler, context, arguments, thread)

        return handler.retry.call(call, stop.wait, _on_retry(handler, note_retry))

    if not surroundings.middlewares:
        return tries()
    with children.ending():
        return around(surroundings.middlewares, context, tries, thread)


async def call_async_handler(
    handler: Handler,
    request: JobRequest,
    events: JobEvents,
    stop: StopSignal,
    note_retry: NoteRetry,
    surroundings: Surroundings,
) -> Any:
    """Do the same in a task of the event loop, where the handler and all middleware are async."""
    context = JobContext(request, events, stop, surroundings.state)

    async def tries() -> Any:
        arguments = handler.arguments(request)

        async def call() -> Any:
            with children.ending():
                return await call_on_loop(handler, context, arguments, in_any_thread)

        return await handler.retry.call_async(call, _on_retry(handler, note_retry))

    if not surroundings.middlewares:
        return await tries()
    with children.ending():
        return await around_on_loop(surroundings.middlewares, context, tries)


def _on_retry(handler: Handler, note_retry: NoteRetry) -> OnRetry:
    def note(attempt: int, error: BaseException, seconds: float) -> None:
        note_retry(attempt, failure_in(handler, error), seconds)

    return note


def failure_in(handler: Handler, error: BaseException) -> JobFailure:
    """Return the failure that an exception of a handler, or of its result, becomes."""
    if isinstance(error, PayloadNotSerialisable):
        return failure("result_not_serialisable", str(error), retryable=False)
    return failure_of(error, handler.retry.non_retryable_errors)


def stop_message(error: BaseException, default: str) -> str:
    """Return the message of a job that stopped as asked: the handler's own, if it has one."""
    messages = (str(each) for each in errors_in(error) if isinstance(each, JobStopped))
    return next(messages, default)
