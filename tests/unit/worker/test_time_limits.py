"""A time limit for every kind of handler."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import run_job
from kafka_bridge.testing.jobs import JobOutcome
from kafka_bridge.worker import Backoff, JobContext, Worker
from kafka_bridge.worker.monitoring.prometheus import PrometheusObserver

S = JobState


def outcome_of(function: Callable[..., Any], time_limit: Any = 0.1, **options: Any) -> JobOutcome:
    """Run a job of a function with a time limit."""
    worker = Worker("g")
    worker.job("a.job", time_limit=time_limit, **options)(function)
    return run_job(worker, "a.job")


async def awaits(job: JobContext) -> None:
    """Wait in a coroutine."""
    await asyncio.sleep(60)


def looks(job: JobContext) -> None:
    """Wait on a thread, and look for stop requests."""
    job.sleep(60)


def fails(job: JobContext) -> None:
    """Fail, to be called again after a long pause."""
    raise ValueError("no")


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (awaits, {}),
        (awaits, {"time_limit": timedelta(milliseconds=100)}),
        (looks, {}),
        (fails, {"retries": 1, "backoff": Backoff(initial_interval=60)}),
    ],
)
def test_handler_that_stops_at_its_limit_fails_with_it(
    function: Callable[..., Any], options: dict[str, Any]
) -> None:
    """A retry may help; the task's log has a line; pauses between tries count."""
    outcome = outcome_of(function, **options)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.retryable) == ("time_limit_exceeded", True)
    assert outcome.error.message == "stopped: its time limit, 0.1 s, has passed"
    words = "The time limit, 0.1 s, has passed: the handler is asked to stop"
    assert any((event.message or "").startswith(words) for event in outcome.events)


def test_thread_that_does_not_look_goes_on_and_that_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be killed: the log and the task say so, and its result counts."""
    counted = threading.Event()
    monkeypatch.setattr(
        "kafka_bridge.worker.monitoring.observer.Observer.time_limit_exceeded",
        lambda *_: counted.set(),
    )
    with caplog.at_level(logging.WARNING):
        outcome = outcome_of(lambda _: counted.wait(60))
    assert (outcome.state, outcome.result) == (S.SUCCEEDED, True)
    assert outcome.events[-1].attributes == {"stop_requested": "time_limit"}
    words = "It runs on a thread, which cannot be killed: it keeps its slot until it returns."
    assert any(words in (event.message or "") for event in outcome.events)
    assert words in caplog.text


def test_limit_of_the_worker_is_for_handlers_without_one() -> None:
    """A handler may have another one, or none."""
    worker = Worker("g", time_limit=0.1)
    worker.job("limited")(awaits)
    worker.job("unlimited", time_limit=math.inf)(lambda job: job.sleep(0.3))
    failed, fine = run_job(worker, "limited"), run_job(worker, "unlimited")
    assert failed.error is not None
    assert failed.error.type == "time_limit_exceeded"
    assert fine.state is S.SUCCEEDED


@pytest.mark.parametrize("wrong", [0, -1, math.nan, timedelta()])
def test_limit_that_no_job_could_keep_is_refused(wrong: Any) -> None:
    """The error names the value."""
    with pytest.raises(ConfigurationError, match="time_limit must be greater than 0 s"):
        outcome_of(awaits, wrong)


def test_kill_after_needs_a_process() -> None:
    """A thread cannot be killed."""
    with pytest.raises(ConfigurationError, match=r"kill_after of 'a\.job' needs process=True"):
        outcome_of(awaits, kill_after=1)


def test_exceeded_limits_are_counted() -> None:
    """By job type, from zero on."""
    observer = PrometheusObserver(["a.job"])
    name = "kafka_bridge_worker_job_time_limits_exceeded_total"

    def count() -> float | None:
        return observer.registry.get_sample_value(name, {"job_type": "a.job"})

    assert count() == 0
    observer.time_limit_exceeded("a.job")
    assert count() == 1
