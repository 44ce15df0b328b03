"""The life of a process that runs handlers: what a service opens before its first job."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Generic, TypeAlias, TypeVar

from kafka_bridge.protocol.errors import ConfigurationError, KafkaBridgeError
from kafka_bridge.worker.signatures import label

_log = logging.getLogger(__name__)

W = TypeVar("W")

LifespanContext: TypeAlias = AbstractContextManager[Any] | AbstractAsyncContextManager[Any]
Hook: TypeAlias = Callable[[], object]
"""A function without parameters, sync or async."""


class StartupFailed(KafkaBridgeError):
    """The service's own code failed before the first job; its error is the cause."""


class Lifespan(Generic[W]):
    """What runs once at the start and once at the end of each process of a worker.

    :ivar context: makes a context of a worker; what it gives is ``job.state`` in handlers
    :ivar startup: called in this order, inside the context
    :ivar shutdown: called in the opposite order, before the context is exited
    """

    def __init__(self, context: Callable[[W], LifespanContext] | None) -> None:
        self.context = context
        self.startup: list[Hook] = []
        self.shutdown: list[Hook] = []
        if inspect.isgeneratorfunction(context) or inspect.isasyncgenfunction(context):
            raise ConfigurationError(
                f"lifespan {label(context)} is a generator: decorate it with "
                "@contextlib.asynccontextmanager, or @contextlib.contextmanager without async"
            )

    @contextlib.contextmanager
    def entered(
        self, worker: W, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]
    ) -> Iterator[Any]:
        """Begin the life; end it with the block. Give what the context gave, None without one.

        :param loop: runs what is async, on another thread; all else runs here
        :param ended: called if an async context ends by itself, while the block runs
        :raises StartupFailed: a function failed at the start
        """
        with contextlib.ExitStack() as stack:
            state = None
            if self.context is not None:
                with _starting(f"lifespan {label(self.context)}"):
                    state = stack.enter_context(_sync(self.context(worker), loop, ended))
            for hook in self.startup:
                with _starting(f"on_startup function {label(hook)}"):
                    _call(hook, loop)
            try:
                yield state
            finally:
                for hook in reversed(self.shutdown):
                    try:
                        _call(hook, loop)
                    except Exception:
                        _log.exception("The on_shutdown function %s failed", label(hook))


def checked_hook(kind: str, function: Hook) -> Hook:
    """Return a function that can be called at the start or at the end.

    :param kind: ``on_startup`` or ``on_shutdown``
    :raises ConfigurationError: it has parameters, or it is a generator
    """
    name = f"{kind} function {label(function)}"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{name} is a generator: a lifespan can have a yield")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise ConfigurationError(f"{name} must take no parameters ({error})") from None
    return function


@contextlib.contextmanager
def _starting(what: str) -> Iterator[None]:
    try:
        yield
    except KafkaBridgeError:
        raise
    except Exception as error:
        _log.exception("The worker does not start: its %s failed", what)
        raise StartupFailed(
            f"the worker does not start: its {what} failed: {type(error).__name__}: {error}"
        ) from error


def _call(hook: Hook, loop: asyncio.AbstractEventLoop) -> None:
    returned = hook()
    if inspect.iscoroutine(returned):
        asyncio.run_coroutine_threadsafe(returned, loop).result()


def _sync(
    context: LifespanContext, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]
) -> AbstractContextManager[Any]:
    """Return a context as a sync one."""
    if isinstance(context, AbstractAsyncContextManager):
        return _on_loop(context, loop, ended)
    if isinstance(context, AbstractContextManager):
        return context
    raise ConfigurationError(
        f"lifespan must return a context manager, not {type(context).__name__}: decorate it with "
        "@contextlib.asynccontextmanager, or @contextlib.contextmanager without async"
    )


@contextlib.contextmanager
def _on_loop(
    context: AbstractAsyncContextManager[Any],
    loop: asyncio.AbstractEventLoop,
    ended: Callable[[], None],
) -> Iterator[Any]:
    """Enter and exit an async context in one task, as a TaskGroup in it requires."""
    state: Future[Any] = Future()
    leaving = asyncio.Event()

    async def live() -> None:
        async with context as value:
            state.set_result(value)
            await leaving.wait()

    life = asyncio.run_coroutine_threadsafe(live(), loop)
    wait([state, life], return_when=FIRST_COMPLETED)
    if not state.done():
        life.result()  # raises why it could not be entered
    life.add_done_callback(lambda _: None if leaving.is_set() else ended())
    try:
        yield state.result()
    finally:
        loop.call_soon_threadsafe(leaving.set)
        life.result()
