"""The life of a worker's process: what it opens before its first job, and closes at its end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from kafka_bridge.protocol.errors import BrokerUnreachable, ConfigurationError
from kafka_bridge.testing import run_job
from kafka_bridge.worker import JobContext, StartupFailed, Worker
from kafka_bridge.worker.runtime.event_loop import event_loop


class Pool:
    """A connection pool of a client library for asyncio."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_open = True


def lived(worker: Worker) -> None:
    """Have a worker start and stop."""
    with event_loop() as loop, worker.lifespan.entered(worker, loop, ended=worker.stop):
        pass


@pytest.mark.parametrize("is_async", [False, True])
def test_handlers_get_what_the_lifespan_gives(*, is_async: bool) -> None:
    """It is open while they run, and closed after the last one."""
    pools: list[Pool] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: Worker) -> AsyncIterator[Pool]:
        pools.append(Pool())
        yield pools[0]
        pools[0].is_open = False

    worker = Worker("g", lifespan=lifespan)
    if is_async:

        @worker.job("a.job")
        async def coroutine(job: JobContext) -> bool:
            return job.state.is_open and job.state.loop is asyncio.get_running_loop()
    else:

        @worker.job("a.job")
        def function(job: JobContext) -> bool:
            return bool(job.state.is_open)

    assert run_job(worker, "a.job").result is True
    assert [each.is_open for each in pools] == [False]


def test_lifespan_may_be_a_context_manager_that_is_not_async() -> None:
    """It gets the worker."""

    @contextlib.contextmanager
    def lifespan(worker: Worker) -> Iterator[str]:
        yield worker.group_id

    worker = Worker("a-group", lifespan=lifespan)
    worker.job("a.job")(lambda job: job.state)
    assert run_job(worker, "a.job").result == "a-group"


def test_functions_run_inside_the_lifespan_in_order_and_then_the_other_way() -> None:
    """What was opened first is closed last."""
    log: list[str] = []

    @contextlib.contextmanager
    def lifespan(_: Worker) -> Iterator[None]:
        log.append("enter")
        yield
        log.append("exit")

    worker = Worker("g", lifespan=lifespan)
    for name in ("first", "second"):
        worker.on_startup(lambda name=name: log.append(f"start {name}"))
        worker.on_shutdown(lambda name=name: log.append(f"stop {name}"))

    @worker.on_startup
    async def third() -> None:
        log.append("start third")

    lived(worker)
    assert log == [
        "enter", "start first", "start second", "start third", "stop second", "stop first", "exit",
    ]  # fmt: skip


def broken() -> None:
    """Fail, as a database does that is not there."""
    raise ConnectionRefusedError("no database")


@contextlib.asynccontextmanager
async def broken_lifespan(_: Worker) -> AsyncIterator[None]:
    """Fail before it gives anything."""
    broken()
    yield


@pytest.mark.parametrize("kind", ["on_startup", "lifespan"])
def test_failure_at_the_start_names_the_function_and_runs_no_job(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its traceback is logged, and its error is the cause."""
    worker = Worker("g", lifespan=broken_lifespan if kind == "lifespan" else None)
    called: list[Any] = []
    worker.job("a.job")(called.append)
    if kind == "on_startup":
        worker.on_startup(broken)
        worker.on_shutdown(lambda: called.append("shutdown"))
    with pytest.raises(StartupFailed, match=f"its {kind} .*broken.* failed: Conn.*: no database"):
        run_job(worker, "a.job")
    assert called == []
    assert "ConnectionRefusedError" in caplog.text


def test_silent_broker_is_not_a_failure_of_the_service() -> None:
    """A lifespan that uses Kafka is entered again when a broker answers."""

    @contextlib.contextmanager
    def lifespan(_: Worker) -> Iterator[None]:
        raise BrokerUnreachable("silence")
        yield

    with pytest.raises(BrokerUnreachable):
        lived(Worker("g", lifespan=lifespan))


def test_failure_at_the_end_is_logged_and_the_others_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The jobs have ended well: the worker's end is no failure."""
    worker, log = Worker("g"), list[str]()
    worker.on_shutdown(lambda: log.append("closed"))
    worker.on_shutdown(broken)
    lived(worker)
    assert log == ["closed"]
    assert "The on_shutdown function broken failed" in caplog.text


def test_context_is_entered_and_exited_in_one_task() -> None:
    """A TaskGroup in it requires that, and its tasks run between the jobs."""
    ticks, ticked = list[int](), threading.Event()

    async def tick() -> None:
        while True:
            ticks.append(1)
            if len(ticks) == 3:
                ticked.set()
            await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def lifespan(_: Worker) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(tick())
            yield
            task.cancel()

    worker = Worker("g", lifespan=lifespan)
    with event_loop() as loop, worker.lifespan.entered(worker, loop, ended=worker.stop):
        assert ticked.wait(30)


def test_lifespan_that_ends_by_itself_stops_the_worker() -> None:
    """Handlers would go on with what is closed; the error is raised when the worker has stopped."""

    async def fail() -> None:
        raise ConnectionResetError("the pool is gone")

    @contextlib.asynccontextmanager
    async def lifespan(_: Worker) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            yield

    worker, stopped = Worker("g", lifespan=lifespan), threading.Event()
    with (
        pytest.raises(ExceptionGroup),
        event_loop() as loop,
        worker.lifespan.entered(worker, loop, ended=stopped.set),
    ):
        assert stopped.wait(30)


async def not_decorated(_: Worker) -> AsyncIterator[None]:
    """Be a generator only."""
    yield


def test_what_cannot_be_right_is_refused() -> None:
    """In words, when it is registered."""
    with pytest.raises(ConfigurationError, match=r"not_decorated is a generator: decorate it with"):
        Worker("g", lifespan=not_decorated)  # type: ignore[arg-type]
    worker = Worker("g", lifespan=lambda _: 7)  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigurationError, match="must return a context manager, not int"):
        lived(worker)
    with pytest.raises(ConfigurationError, match=r"on_startup .* must take no parameters"):
        worker.on_startup(lambda job: job)  # type: ignore[type-var]
    with pytest.raises(ConfigurationError, match=r"on_shutdown .* is a generator: a lifespan can"):
        worker.on_shutdown(lambda: (yield))
