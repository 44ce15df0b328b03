"""The waiting rules of a batch, and its tally."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kafka_bridge.airflow.batch.timeouts import BatchLimits, BatchWatch, Tally
from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.ids import batch_job_ids
from kafka_bridge.protocol.lifecycle import Verdict
from kafka_bridge.protocol.messages import ErrorType, JobState

from ..samples import T0

JOBS = batch_job_ids("0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01", 4)


def watch(began: float = 0.0, **limits: Any) -> BatchWatch:
    """Return a watch over four jobs that were submitted at T0."""
    return BatchWatch(JOBS, BatchLimits(**limits), T0, T0 + began)


def say(over: BatchWatch, number: int, state: JobState, *, at: float = 0, delivery: int = 1) -> Any:
    """Let a worker say something of one of the jobs."""
    return over.take(JOBS[number], EventHead(delivery, state), T0 + at)


def test_tally() -> None:
    """Each job is counted once, where it is now."""
    over = watch()
    assert over.tally == Tally(4)
    say(over, 0, JobState.ACCEPTED)
    say(over, 0, JobState.RUNNING)
    say(over, 1, JobState.SUCCEEDED)
    say(over, 2, JobState.FAILED)
    say(over, 3, JobState.UNKNOWN)
    assert over.tally == Tally(4, running=2, succeeded=1, failed=1)
    say(over, 0, JobState.RELEASED)
    say(over, 3, JobState.CANCELLED)
    assert over.tally == Tally(4, running=0, succeeded=1, failed=2)
    assert over.tally.queued == 1
    assert list(over.unfinished) == [JOBS[0]]
    assert not over.is_done


def test_words() -> None:
    """A person reads how many are where; failures are mentioned where there are any."""
    assert str(Tally(10_000, 12, 4000)) == "4,000 of 10,000 jobs done, 12 running, 5,988 queued"
    assert str(Tally(4, 0, 1, 2)) == "3 of 4 jobs done (2 failed), 0 running, 1 queued"


def test_stale_events_change_nothing() -> None:
    """An older delivery, and what comes after the end, move no job and are no sign of life."""
    over = watch(heartbeat=60)
    say(over, 0, JobState.ACCEPTED, delivery=2)
    assert say(over, 0, JobState.RELEASED, at=50, delivery=1) is Verdict.STALE
    say(over, 1, JobState.SUCCEEDED)
    assert say(over, 1, JobState.FAILED, at=50) is Verdict.STALE
    assert over.tally == Tally(4, running=1, succeeded=1)
    assert not over.has_failures
    assert over.passed(T0 + 60) is not None


def test_done() -> None:
    """A batch is done when every job has ended, well or not."""
    over = watch()
    for number in range(4):
        assert not over.is_done
        say(over, number, JobState.CANCELLED if number else JobState.SUCCEEDED)
    assert over.is_done
    assert over.has_failures
    assert list(over.unfinished) == []


def test_whole_batch_takes_too_long() -> None:
    """The time-out of the batch counts from its submission, whatever is said meanwhile."""
    over = watch(whole=100)
    say(over, 0, JobState.RUNNING, at=99)
    assert over.passed(T0 + 99.9) is None
    passed = over.passed(T0 + 100)
    assert passed is not None
    assert passed.reason is ErrorType.DEADLINE_EXCEEDED
    assert passed.message == (
        "the batch was not done within 100 s: 0 of 4 jobs done, 1 running, 3 queued"
    )


def test_workers_fall_silent() -> None:
    """While jobs run, the silence of all workers counts; any sign of life begins it anew."""
    over = watch(heartbeat=60, schedule_to_start=10_000)
    say(over, 0, JobState.ACCEPTED, at=10)
    say(over, 1, JobState.SUCCEEDED, at=40)
    assert over.passed(T0 + 99) is None
    passed = over.passed(T0 + 100)
    assert passed is not None
    assert passed.reason is ErrorType.WORKER_LOST
    assert passed.message == (
        "all workers have been silent for 60 s: 1 of 4 jobs done, 1 running, 2 queued"
    )


def test_nobody_takes_a_job() -> None:
    """While nothing runs, jobs may queue for longer; what ends or is handed back counts, too."""
    over = watch(heartbeat=60, schedule_to_start=1000)
    say(over, 0, JobState.ACCEPTED, at=10)
    say(over, 0, JobState.RELEASED, at=20)
    assert over.passed(T0 + 1019) is None
    passed = over.passed(T0 + 1020)
    assert passed is not None
    assert passed.reason is ErrorType.NOT_STARTED
    assert passed.message == (
        "no worker has taken a job or ended one for 1000 s: 0 of 4 jobs done, 0 running, 4 queued"
    )


def test_for_ever() -> None:
    """Without limits, nothing ends the wait."""
    assert watch().passed(T0 + 1e9) is None


@pytest.mark.parametrize("limit", ["whole", "heartbeat", "schedule_to_start"])
def test_silence_that_proves_nothing(limit: str) -> None:
    """No rule fires while the reader does not hear, nor in the first seconds after that."""
    over = watch(**{limit: 40})
    if limit == "heartbeat":
        say(over, 0, JobState.ACCEPTED)
    over.live_since = math.inf
    assert over.passed(T0 + 1e6) is None
    over.live_since = T0 + 1e6
    assert over.passed(T0 + 1e6 + MARGIN_SECONDS - 1) is None
    assert over.passed(T0 + 1e6 + MARGIN_SECONDS) is not None


def test_late_wait() -> None:
    """A wait that begins when time is up has the margin to read what was said before."""
    over = watch(began=5000, whole=100)
    assert over.passed(T0 + 5000 + MARGIN_SECONDS - 1) is None
    assert over.passed(T0 + 5000 + MARGIN_SECONDS) is not None
