"""What handlers ask for by annotation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.testing import run_job
from kafka_bridge.worker import Backoff, Depends, JobContext, Worker
from kafka_bridge.worker.handlers import Handler

from .samples import request
from .samples import run_job as run_handler

LOG: list[str] = []


@pytest.fixture(autouse=True)
def empty_log() -> None:
    """Forget what the test before has logged."""
    LOG.clear()


def number() -> int:
    """Make a value without the job."""
    LOG.append("number")
    return 7


async def slow_number() -> int:
    """Do the same on the event loop."""
    await asyncio.sleep(0)
    return number()


Number = Annotated[int, Depends(number)]


def session(job: JobContext, number: Number) -> Iterator[str]:
    """Open a session, with a value of its own, and close it."""
    LOG.append("open")
    try:
        yield f"{job.job_type}-{number}"
    except BaseException as error:
        LOG.append(f"rollback {type(error).__name__}")
        raise
    LOG.append("commit")


async def slow_session(
    job: JobContext, number: Annotated[int, Depends(slow_number)]
) -> AsyncIterator[str]:
    """Do the same on the event loop."""
    LOG.append("open")
    try:
        yield f"{job.job_type}-{number}"
    except BaseException as error:
        LOG.append(f"rollback {type(error).__name__}")
        raise
    LOG.append("commit")


Session = Annotated[str, Depends(session)]
SlowSession = Annotated[str, Depends(slow_session)]


def uses(job: JobContext, payload: int, session: Session, number: Number) -> str:
    """Use both, which depend on each other."""
    return use(payload, session, number)


async def uses_async(job: JobContext, payload: int, *, session: Session, number: Number) -> str:
    """Do the same as a coroutine."""
    return use(payload, session, number)


def uses_slow(job: JobContext, payload: int, session: SlowSession) -> str:
    """Use what needs an event loop."""
    return use(payload, session, 7)


async def uses_slow_async(job: JobContext, payload: int, session: SlowSession) -> str:
    """Do the same as a coroutine."""
    return use(payload, session, 7)


def use(payload: int, session: str, number: int) -> str:
    """Use all, or fail."""
    LOG.append("handler")
    if payload < 0:
        raise ValueError(payload)
    return f"{payload} {session} {number}"


ALL = [uses, uses_async, uses_slow, uses_slow_async]


@pytest.mark.parametrize("function", ALL)
def test_handler_gets_what_it_asks_for_and_it_is_closed_after_it(
    function: Callable[..., Any],
) -> None:
    """Each function is called once, before the handler, whichever of them is async."""
    assert run_handler(Handler.of("a.job", function), request(b"1"))[-1].result == b'"1 a.job-7 7"'
    assert LOG == ["number", "open", "handler", "commit"]


@pytest.mark.parametrize("function", ALL)
def test_dependency_sees_the_failure_of_the_handler(function: Callable[..., Any]) -> None:
    """It can roll back; the error is the job's, with the handler's own frame first."""
    ended = run_handler(Handler.of("a.job", function), request(b"-1"))[-1]
    assert ended.error is not None
    assert ended.error.type == "ValueError"
    assert LOG == ["number", "open", "handler", "rollback ValueError"]
    assert f"in {function.__name__}" in (ended.error.details or "").splitlines()[1]


def test_each_try_has_dependencies_of_its_own() -> None:
    """A session that has failed is not used again."""
    worker = Worker("g")
    worker.job("a.job", retries=1, backoff=Backoff(initial_interval=0.01, jitter=0))(uses)
    assert run_job(worker, "a.job", -1).error is not None
    assert LOG == ["number", "open", "handler", "rollback ValueError"] * 2


@pytest.mark.parametrize("is_async", [False, True])
def test_dependency_cannot_turn_a_failure_into_a_success(*, is_async: bool) -> None:
    """One that swallows the exception closes what it has opened, and the job fails."""

    def swallows() -> Iterator[int]:
        try:
            yield 1
        except ValueError:
            LOG.append("swallowed")

    def fails(job: JobContext, one: Annotated[int, Depends(swallows)]) -> None:
        raise ValueError(one)

    async def fails_async(job: JobContext, one: Annotated[int, Depends(swallows)]) -> None:
        raise ValueError(one)

    for each in (fails, fails_async):
        each.__annotations__["one"] = Annotated[int, Depends(swallows)]
    error = run_handler(Handler.of("a.job", fails_async if is_async else fails))[-1].error
    assert error is not None
    assert (error.type, LOG) == ("ValueError", ["swallowed"])


def test_error_of_a_dependency_fails_the_job_before_the_handler() -> None:
    """What was opened before it is closed."""

    def broken(session: Session) -> int:
        raise ConnectionRefusedError(session)

    def handler(job: JobContext, value: int) -> None:
        LOG.append("handler")

    broken.__annotations__["session"] = Session
    handler.__annotations__["value"] = Annotated[int, Depends(broken)]
    error = run_handler(Handler.of("a.job", handler))[-1].error
    assert error is not None
    assert error.type == "ConnectionRefusedError"
    assert LOG == ["number", "open", "rollback ConnectionRefusedError"]


def test_blocking_dependency_of_a_coroutine_does_not_block_the_event_loop() -> None:
    """It runs on a thread, as in FastAPI."""
    threads: list[int] = []

    def here() -> int:
        threads.append(threading.get_ident())
        return 0

    async def handler(job: JobContext, here: int) -> None:
        threads.append(threading.get_ident())

    handler.__annotations__["here"] = Annotated[int, Depends(here)]
    run_handler(Handler.of("a.job", handler))
    assert len(set(threads)) == 2


def test_class_can_be_a_dependency() -> None:
    """It gets the job or nothing, as a function does."""

    class Store:
        def __init__(self, job: JobContext) -> None:
            self.name = job.job_type

    def handler(job: JobContext, store: Any) -> str:
        return str(store.name)

    handler.__annotations__["store"] = Annotated[Any, Depends(Store)]
    assert run_handler(Handler.of("a.job", handler))[-1].result == b'"a.job"'


def itself(value: Annotated[int, Depends(lambda: itself)]) -> int:
    """Depend on itself."""
    return value


itself.__annotations__["value"] = Annotated[int, Depends(itself)]


def takes(annotation: Any) -> Callable[..., Any]:
    """Return a handler with a dependency."""

    def handler(job: JobContext, value: Any) -> None:
        """Do nothing."""

    handler.__annotations__["value"] = annotation
    return handler


def positional(job: JobContext, value: Number, /) -> None:
    """Take a dependency by its place."""


def payload_last(job: JobContext, number: Number, payload: int) -> None:
    """Take the payload last."""


def default(job: JobContext, value: Any = Depends(number)) -> None:  # noqa: B008
    """Ask as FastAPI did once."""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (takes(Annotated[int, Depends(itself)]), "itself depends on itself"),
        (takes(Annotated[int, Depends(7)]), r"'value': Depends\(7\) is not a function"),  # type: ignore[arg-type]
        (takes(Annotated[int, Depends(uses)]), r"dependency uses must take \(job: JobContext\) or"),
        (takes(Annotated[int, Depends(lambda a, b: a + b)]), "must take .* or nothing, and beyond"),
        (positional, "positional-only parameter 'value': a dependency is passed by its name"),
        (payload_last, r"has 'payload' after 'number': what Depends\(…\) fills comes last"),
        (default, r"value=Depends\(…\): .* value: Annotated\[…, Depends\(number\)\]"),
    ],
)
def test_dependency_that_cannot_be_right_is_refused(
    function: Callable[..., Any], words: str
) -> None:
    """When the handler is registered, with the way to it."""
    with pytest.raises(ConfigurationError, match=words):
        Worker("g").job("a.job")(function)
