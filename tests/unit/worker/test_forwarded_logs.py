"""What handlers log reaches their tasks' logs, if that is wanted."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.testing import run_job
from kafka_bridge.worker import ApplicationError, JobContext, Worker
from kafka_bridge.worker.runtime.log_capture import CapturingHandler

log = logging.getLogger("a_service")


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    """Find the root logger afterwards as it was before."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    yield
    assert (root.level, root.handlers) == before


def worker_of(function: Any, level: str | None = "INFO", **options: Any) -> Worker:
    """Return a worker that forwards what a function logs."""
    worker = Worker("g", forward_logs=level)
    worker.job("a.job", **options)(function)
    return worker


def test_lines_are_forwarded_in_order_with_their_levels() -> None:
    """Below the level, and of the bridge itself, none."""

    def handle(job: JobContext) -> None:
        log.debug("no")
        log.info("read %d files", 3)
        logging.getLogger("kafka_bridge.kafka.clients").warning("librdkafka says no")
        logging.getLogger("kafka_bridge_of_mine").warning("mine")
        logging.getLogger().error("done")

    outcome = run_job(worker_of(handle), "a.job")
    assert outcome.log == ["INFO read 3 files", "WARNING mine", "ERROR done"]
    assert outcome.events[-2].message == "ERROR: done (and 2 log lines before it)"


@pytest.mark.parametrize(
    ("of_worker", "of_handler", "forwarded"),
    [(None, None, 0), (None, "info", 2), ("WARNING", None, 1), ("INFO", "OFF", 0)],
)
def test_level_of_a_handler_is_its_own_or_the_workers(
    of_worker: str | None, of_handler: str | None, forwarded: int
) -> None:
    """Nothing is forwarded by default."""

    def handle(job: JobContext) -> None:
        log.info("info")
        log.warning("warning")

    worker = worker_of(handle, of_worker, forward_logs=of_handler)
    assert len(run_job(worker, "a.job").log) == forwarded


@pytest.mark.parametrize("wrong", ["LOUD", 20, ""])
def test_level_that_does_not_exist_is_refused(wrong: Any) -> None:
    """In a worker and in a handler; the error lists the levels."""
    words = r"forward_logs must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL or OFF, not"
    with pytest.raises(ConfigurationError, match=words):
        Worker("g", forward_logs=wrong)
    with pytest.raises(ConfigurationError, match=words):
        worker_of(lambda _: None, forward_logs=wrong)


def test_threads_that_carry_the_context_of_the_job_log_for_it() -> None:
    """Another thread does not, nor a forked child."""

    def handle(job: JobContext) -> None:
        context = contextvars.copy_context()
        for each in (lambda: context.run(log.info, "carries it"), lambda: log.info("does not")):
            thread = threading.Thread(target=each)
            thread.start()
            thread.join()
        if not (child := os.fork()):
            log.info("forked")
            os._exit(0)
        os.waitpid(child, 0)

    assert run_job(worker_of(handle), "a.job").log == ["INFO carries it"]


def test_tasks_and_their_threads_log_for_the_job() -> None:
    """Of a coroutine."""

    async def handle(job: JobContext) -> None:
        log.info("handler")
        await asyncio.create_task(asyncio.to_thread(log.info, "thread of a task"))

    assert run_job(worker_of(handle), "a.job").log == ["INFO handler", "INFO thread of a task"]


def test_jobs_side_by_side_have_their_own_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Each in its context, whatever the threads."""
    caplog.set_level(logging.INFO)
    both = threading.Barrier(2, timeout=30)

    def handle(job: JobContext, payload: str) -> None:
        for number in range(50):
            both.wait()
            log.info("%s %d", payload, number)

    worker = worker_of(handle)
    logs: dict[str, list[str]] = {}

    def run(name: str) -> None:
        logs[name] = run_job(worker, "a.job", name).log

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in "ab":
        assert logs[name] == [f"INFO {name} {number}" for number in range(50)]


def test_lines_of_structlog_are_forwarded() -> None:
    """If it logs through the standard library, rendered or not."""
    make = structlog.stdlib.LoggerFactory()
    renderers: list[Any] = [
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ]

    def handle(job: JobContext) -> None:
        for each in renderers:
            logger = structlog.wrap_logger(
                make("a_service"), [each], wrapper_class=structlog.stdlib.BoundLogger
            )
            logger.warning("read", rows=7)

    assert run_job(worker_of(handle), "a.job").log == [
        "WARNING read rows=7",
        "WARNING event='read' rows=7",
    ]


def test_last_lines_are_in_the_error_of_a_failed_job() -> None:
    """After its traceback or its own details, also if they are too many to be forwarded."""

    def handle(job: JobContext) -> None:
        for number in range(5_000):
            log.info("line %d", number)
        raise ApplicationError("no", details="see there")

    outcome = run_job(worker_of(handle), "a.job")
    assert outcome.error is not None
    first, last = (f"    INFO line {number}" for number in (4_980, 4_999))
    details = outcome.error.details or ""
    assert details.startswith(f"see there\n\nThe last lines that the job logged:\n{first}\n")
    assert details.endswith(last)
    assert "more lines were not forwarded" in outcome.log[-1]


def test_lines_of_a_failed_try_come_before_it_is_reported() -> None:
    """The task's log tells what happened in that order."""

    def handle(job: JobContext) -> None:
        log.info("trying")
        raise ValueError("no")

    events = run_job(worker_of(handle, retries=1), "a.job").events
    messages = [event.message or "" for event in events]
    assert messages.index("trying") < next(n for n, each in enumerate(messages) if "Try 1" in each)


def test_logging_that_the_handler_sets_up_anew_is_captured_again() -> None:
    """From the next job on."""

    def handle(job: JobContext) -> None:
        root = logging.getLogger()
        for each in [each for each in root.handlers if isinstance(each, CapturingHandler)]:
            root.removeHandler(each)

    def later(job: JobContext) -> None:
        log.info("still there")

    worker = worker_of(handle)
    worker.job("later")(later)
    run_job(worker, "a.job")
    assert run_job(worker, "later").log == ["INFO still there"]


def test_program_without_log_handlers_writes_warnings_as_ever(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler that forwards lines does not count as one that writes them."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def handle(job: JobContext) -> None:
        log.info("not shown")
        log.warning("shown")

    run_job(worker_of(handle), "a.job")
    assert "shown\n" in capsys.readouterr().err
