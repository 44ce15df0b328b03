"""A job reads the same, whether its handler runs on a thread or in a process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kafka_bridge.protocol.messages import JobFailure, StatusEvent
from kafka_bridge.testing import run_job
from kafka_bridge.testing.jobs import JobOutcome
from kafka_bridge.worker import Worker
from kafka_bridge.worker.processes.serving import serving

from .twins import PROCESS, THREAD, worker

pytestmark = pytest.mark.slow
FACTS = ("state", "message", "progress", "external_id", "result", "result_type", "attributes")


@pytest.fixture(scope="module")
def warm() -> Iterator[Worker]:
    """Give the worker with one process for all tests."""
    with serving(worker, worker.settings()) as served:
        warm = Worker("twins", worker_id="w-1", lifespan=worker.lifespan.context)
        warm.middlewares.extend(worker.middlewares)
        # They have a process already.
        warm.handlers.update(
            {name: replace(each, in_process=False) for name, each in served.handlers.items()}
        )
        yield warm


def facts(event: StatusEvent) -> list[Any]:
    """Return what a task sees of an event, without the lines of a traceback's own frames."""
    error: JobFailure | None = event.error
    details = None if error is None else (error.details or "").splitlines()[-1:]
    shown = error and (error.type, error.message, error.retryable, details)
    return [*(getattr(event, name) for name in FACTS), shown]


@pytest.mark.parametrize(
    ("job_type", "payload"),
    [
        ("multiply", {"number": 4}),
        ("multiply", {"number": "four"}),
        ("multiply", b"\xff"),
        ("raw", b"abc"),
        ("nothing", None),
        ("state", None),
        ("surrounded", None),
        ("fails", None),
        ("chooses", None),
        ("final", None),
        ("exits", None),
        ("unserialisable", None),
        ("misnamed", None),
        ("saves", {"page": 7}),
        ("saves", "x" * 4_000),
        ("group", None),
    ],
)
def test_job_reads_the_same(warm: Worker, job_type: str, payload: Any) -> None:
    """Result, error, progress, messages and external id are those of a thread."""
    threads, processes = (run_job(warm, job_type + kind, payload) for kind in (THREAD, PROCESS))
    assert shown(processes) == shown(threads)


def shown(outcome: JobOutcome) -> list[list[Any]]:
    """Return the events of a job, with words that name the job type made equal."""
    return [
        [str(each).replace(PROCESS, THREAD) for each in facts(event)] for event in outcome.events
    ]


@pytest.mark.parametrize("kind", [THREAD, PROCESS])
def test_process_has_the_checkpoint_of_an_earlier_delivery(warm: Worker, kind: str) -> None:
    """And what it saves is there for the next one."""
    outcome = run_job(warm, "saves" + kind, {"page": 8}, checkpoint={"page": 7})
    assert (outcome.result, outcome.checkpoint) == ({"page": 7}, {"page": 8})


@pytest.mark.parametrize("job_type", ["waits", "waits.async"])
def test_cancel_reads_the_same(warm: Worker, job_type: str) -> None:
    """The handler is told, and confirms the stop."""
    ends = [
        run_job(warm, job_type + kind, cancel_after=0.3).events[-1] for kind in (THREAD, PROCESS)
    ]
    assert facts(ends[0]) == facts(ends[1])


def test_run_job_starts_a_process() -> None:
    """A test of a service needs nothing more than for a thread."""
    assert run_job(worker, "multiply" + PROCESS, {"number": 4}).result == {"product": 8}


def test_process_that_hangs_is_killed_after_its_time_limit() -> None:
    """Whatever it hangs in; the error says so, and a retry may help."""
    outcome = run_job(worker, "stuck" + PROCESS)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.retryable) == ("time_limit_exceeded", True)
    assert outcome.error.message == (
        "stopped: its time limit, 0.3 s, has passed; the handler did not stop within 0.2 s, and "
        "its process was killed"
    )


def test_middleware_and_dependencies_run_in_the_process(warm: Worker) -> None:
    """Around its handlers, as around those of a thread."""
    assert run_job(warm, "surrounded" + PROCESS).result == "session of ours"
