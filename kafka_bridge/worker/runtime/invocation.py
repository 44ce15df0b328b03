"""One call of a handler, with its dependencies, on the job's thread or on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from functools import partial
from types import CoroutineType
from typing import Any, TypeAlias

from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.dependencies import Dependencies, Dependency, Kind, any_async
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.job_thread import JobThread, uninterrupted

InThread: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function on a thread, for a coroutine."""
Subject: TypeAlias = JobContext | list[JobContext]
"""The first argument of a handler: its job, or the jobs of its batch."""


def call_here(handler: Handler, job: Subject, arguments: tuple[Any, ...], thread: JobThread) -> Any:
    """Call a handler on the job's thread; what is async runs on the event loop meanwhile."""
    if handler.is_async or any_async(handler.dependencies):
        return thread.run(call_on_loop(handler, job, arguments, thread.call))
    if not handler.dependencies:
        return _finished(handler, handler.function(job, *arguments), thread)
    given = _Given(job)
    with _raising() as stack:
        values = given.values(handler.dependencies, stack)
        return _finished(handler, handler.function(job, *arguments, **values), thread)


def _finished(handler: Handler, value: Any, thread: JobThread) -> Any:
    """Return a result; that of a coroutine, if a decorator has returned one."""
    while isinstance(value, CoroutineType):
        value = thread.run(value)
    return handler.collected(value)


async def call_on_loop(
    handler: Handler,
    job: Subject,
    arguments: tuple[Any, ...],
    in_thread: InThread,
) -> Any:
    """Call a handler in a task of the event loop; what is not async runs on a thread."""

    async def call(**values: Any) -> Any:
        if handler.is_async:
            value = await handler.function(job, *arguments, **values)
        else:
            run = partial(handler.function, job, *arguments, **values)
            value = await in_thread(lambda: handler.collected(run()))
        while isinstance(value, CoroutineType):
            value = await value
        return handler.collected(value)

    if not handler.dependencies:
        return await call()
    given = _GivenOnLoop(job, in_thread)
    error: BaseException | None = None
    async with AsyncExitStack() as stack:
        values = await given.values(handler.dependencies, stack)
        try:
            return await call(**values)
        except BaseException as failure:
            error = failure
            raise
    assert error is not None  # noqa: S101
    raise error  # a dependency must not turn a failure into a success


@contextlib.contextmanager
def _raising() -> Iterator[ExitStack]:
    """Give a stack of dependencies that cannot turn a failure into a success."""
    error: BaseException | None = None
    with ExitStack() as stack:
        try:
            yield stack
        except BaseException as failure:
            error = failure
            raise
    if error is not None:
        raise error


class _Given:
    """The values of dependencies for one call; each function is called once."""

    def __init__(self, job: Subject) -> None:
        self._job = job
        self._made: dict[Dependency, Any] = {}

    def values(self, dependencies: Dependencies, stack: ExitStack) -> dict[str, Any]:
        return {name: self._value(each, stack) for name, each in dependencies}

    def _value(self, dependency: Dependency, stack: ExitStack) -> Any:
        if dependency not in self._made:
            values = self.values(dependency.parameters, stack)
            made = _call(dependency, self._job, values)
            self._made[dependency] = (
                stack.enter_context(made) if dependency.kind is Kind.GENERATOR else made
            )
        return self._made[dependency]


class _GivenOnLoop:
    """The same for a coroutine."""

    def __init__(self, job: Subject, in_thread: InThread) -> None:
        self._job = job
        self._in_thread = in_thread
        self._made: dict[Dependency, Any] = {}

    async def values(self, dependencies: Dependencies, stack: AsyncExitStack) -> dict[str, Any]:
        return {name: await self._value(each, stack) for name, each in dependencies}

    async def _value(self, dependency: Dependency, stack: AsyncExitStack) -> Any:
        if dependency not in self._made:
            values = await self.values(dependency.parameters, stack)
            self._made[dependency] = await self._make(dependency, values, stack)
        return self._made[dependency]

    async def _make(
        self, dependency: Dependency, values: dict[str, Any], stack: AsyncExitStack
    ) -> Any:
        make = partial(_call, dependency, self._job, values)
        match dependency.kind:
            case Kind.FUNCTION:
                return await self._in_thread(make)
            case Kind.COROUTINE:
                return await make()
            case Kind.GENERATOR:
                return await stack.enter_async_context(_on_thread(make(), self._in_thread))
            case Kind.ASYNC_GENERATOR:
                return await stack.enter_async_context(make())


def _call(dependency: Dependency, job: Subject, values: dict[str, Any]) -> Any:
    """Call the function of a dependency; return a context for a generator."""
    function = dependency.function
    if dependency.kind is Kind.GENERATOR:
        function = contextlib.contextmanager(function)
    elif dependency.kind is Kind.ASYNC_GENERATOR:
        function = contextlib.asynccontextmanager(function)
    return function(job, **values) if dependency.takes_job else function(**values)


@contextlib.asynccontextmanager
async def _on_thread(
    context: AbstractContextManager[Any], in_thread: InThread
) -> AsyncIterator[Any]:
    """Enter and exit a context on a thread."""
    value = await in_thread(context.__enter__)
    try:
        yield value
    except BaseException as error:
        leave = partial(context.__exit__, type(error), error, error.__traceback__)
        if not await in_thread(leave):
            raise
    else:
        await in_thread(partial(context.__exit__, None, None, None))


async def in_any_thread(function: Callable[[], Any]) -> Any:
    """Run a function on a thread of asyncio's, to its end even if the task is cancelled."""
    return await uninterrupted(asyncio.ensure_future(asyncio.to_thread(function)))
