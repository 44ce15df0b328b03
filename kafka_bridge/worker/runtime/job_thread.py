"""The thread of a job and the worker's event loop: each runs for the other what is of its kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeAlias

from kafka_bridge.worker.cancellation import StopSignal

_Next: TypeAlias = Callable[[], object] | None


class JobThread:
    """Runs coroutines for a thread that has a job, and functions on that thread for coroutines.

    Both may be nested: a function that runs for a coroutine may run a coroutine again.

    :param loop: the worker's event loop, on another thread
    :param stop: asks the job to stop. A coroutine gets an :class:`asyncio.CancelledError` then,
        unless it waits for a function on the job's thread: that one looks by itself
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stop: StopSignal) -> None:
        self._loop = loop
        self._stop = stop
        self._coroutines: list[_Running] = []
        self._listens = False

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the event loop until it ends; return its result.

        Call this on the job's thread, which meanwhile runs what :meth:`call` is given. The
        coroutine sees the context variables of the caller.
        """
        running = _Running(self._loop, coroutine)
        self._coroutines.append(running)
        if not self._listens:
            self._listens = True
            self._stop.listen(self._cancel)
        elif self._stop.reason is not None:
            running.cancel()
        try:
            return running.result()
        finally:
            self._coroutines.pop()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run a function on the job's thread; return its result.

        Await this in a coroutine that :meth:`run` runs. The function sees the context variables of
        the coroutine. A thread cannot be interrupted: the result is waited for even if the
        coroutine is cancelled meanwhile.
        """
        return await self._coroutines[-1].call(function)

    def _cancel(self) -> None:
        with contextlib.suppress(IndexError):  # it has just ended
            self._coroutines[-1].cancel()


class _Running:
    """One coroutine, and what the job's thread has to do for it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._todo: SimpleQueue[_Next] = SimpleQueue()
        self._task: asyncio.Task[Any] | None = None
        self._waits_for_thread = False
        self._is_cancelled = False

    def result(self) -> Any:
        self._loop.call_soon_threadsafe(self._start)
        while (next_call := self._todo.get()) is not None:
            next_call()
        assert self._task is not None  # noqa: S101
        return self._task.result()

    def _start(self) -> None:
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(lambda _: self._todo.put(None))
        if self._is_cancelled:
            self._task.cancel()

    def cancel(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
            self._loop.call_soon_threadsafe(self._cancel_on_loop)

    def _cancel_on_loop(self) -> None:
        if self._is_cancelled or self._waits_for_thread:
            return  # once: what a coroutine awaits to clean up is not interrupted
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def call(self, function: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()
        context = copy_context()

        def run() -> None:
            try:
                done.set_result(context.run(function))
            except BaseException as error:
                done.set_exception(error)

        self._waits_for_thread = True
        self._todo.put(run)
        try:
            return await uninterrupted(asyncio.wrap_future(done))
        finally:
            self._waits_for_thread = False


async def uninterrupted(future: asyncio.Future[Any]) -> Any:
    """Wait for a future; a cancel is passed on when it is done, and if it has no error itself."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    result = future.result()
    if cancelled is not None:
        raise cancelled
    return result
