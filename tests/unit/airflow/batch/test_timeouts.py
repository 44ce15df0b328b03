"""The timeouts of a batch, and the tally of its jobs."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kafka_bridge.airflow.batch.progress import Tally
from kafka_bridge.airflow.batch.timeouts import BatchTimeouts
from kafka_bridge.airflow.batch.trigger import KafkaJobBatchTrigger
from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.ids import batch_job_ids
from kafka_bridge.protocol.lifecycle import Verdict
from kafka_bridge.protocol.messages import ErrorType, JobState

from ..samples import T0, TOPIC

BATCH_ID = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
JOBS = batch_job_ids(BATCH_ID, 4)


def timeouts(began: float = 0.0, **limits: float) -> BatchTimeouts:
    """Return the timeouts of four jobs that were submitted at T0."""
    trigger = KafkaJobBatchTrigger(
        batch_id=BATCH_ID,
        count=len(JOBS),
        kafka_config_id="mine",
        response_topic=TOPIC,
        control_topic="control",
        encoding="json",
        start_offsets=[0],
        submitted_at=T0,
        on_failure="collect",
        **limits,  # type: ignore[arg-type]
    )
    return BatchTimeouts(trigger.spec, JOBS, began=T0 + began)


def publish(
    batch: BatchTimeouts, number: int, state: JobState, *, at: float = 0, delivery: int = 1
) -> Any:
    """Let a worker publish an event of one of the jobs."""
    return batch.apply(JOBS[number], EventHead(delivery, state), T0 + at)


def test_each_job_counts_once_in_its_latest_state() -> None:
    """The tally follows each job from state to state."""
    batch = timeouts()
    assert batch.tally == Tally(4)
    publish(batch, 0, JobState.ACCEPTED)
    publish(batch, 0, JobState.RUNNING)
    publish(batch, 1, JobState.SUCCEEDED)
    publish(batch, 2, JobState.FAILED)
    publish(batch, 3, JobState.UNKNOWN)
    assert batch.tally == Tally(4, running=2, succeeded=1, failed=1)
    publish(batch, 0, JobState.RELEASED)
    publish(batch, 3, JobState.CANCELLED)
    assert batch.tally == Tally(4, running=0, succeeded=1, failed=2)
    assert batch.tally.queued == 1
    assert list(batch.unfinished) == [JOBS[0]]
    assert not batch.is_done


def test_tally_as_text_mentions_failures_only_if_there_are_any() -> None:
    """A person reads how many jobs are in which state."""
    assert str(Tally(10_000, 12, 4000)) == "4,000 of 10,000 jobs done, 12 running, 5,988 queued"
    assert str(Tally(4, 0, 1, 2)) == "3 of 4 jobs done (2 failed), 0 running, 1 queued"


def test_stale_events_change_nothing() -> None:
    """Events of an older delivery, or after the terminal event, restart no timeout either."""
    batch = timeouts(heartbeat_timeout=60)
    publish(batch, 0, JobState.ACCEPTED, delivery=2)
    assert publish(batch, 0, JobState.RELEASED, at=50, delivery=1) is Verdict.STALE
    publish(batch, 1, JobState.SUCCEEDED)
    assert publish(batch, 1, JobState.FAILED, at=50) is Verdict.STALE
    assert batch.tally == Tally(4, running=1, succeeded=1)
    assert not batch.has_failures
    assert batch.expired(T0 + 60) is not None


def test_batch_is_done_when_every_job_has_finished() -> None:
    """Failed and cancelled jobs have finished, too."""
    batch = timeouts()
    for number in range(4):
        assert not batch.is_done
        publish(batch, number, JobState.CANCELLED if number else JobState.SUCCEEDED)
    assert batch.is_done
    assert batch.has_failures
    assert list(batch.unfinished) == []


def test_timeout_of_the_whole_batch_counts_from_its_submission() -> None:
    """No event extends it."""
    batch = timeouts(timeout=100)
    publish(batch, 0, JobState.RUNNING, at=99)
    assert batch.expired(T0 + 99.9) is None
    expired = batch.expired(T0 + 100)
    assert expired is not None
    assert expired.reason is ErrorType.DEADLINE_EXCEEDED
    assert expired.message == (
        "the batch did not finish within 100 s: 0 of 4 jobs done, 1 running, 3 queued"
    )


def test_heartbeat_timeout_counts_from_the_last_event_of_any_job() -> None:
    """It applies while jobs run; an event of any worker restarts it."""
    batch = timeouts(heartbeat_timeout=60, schedule_to_start_timeout=10_000)
    publish(batch, 0, JobState.ACCEPTED, at=10)
    publish(batch, 1, JobState.SUCCEEDED, at=40)
    assert batch.expired(T0 + 99) is None
    expired = batch.expired(T0 + 100)
    assert expired is not None
    assert expired.reason is ErrorType.WORKER_LOST
    assert expired.message == (
        "no worker has published anything for 60 s: 1 of 4 jobs done, 1 running, 2 queued"
    )


def test_queued_jobs_may_wait_for_schedule_to_start_after_the_last_event() -> None:
    """While no job runs, only that timeout applies; finished and released jobs restart it, too."""
    batch = timeouts(heartbeat_timeout=60, schedule_to_start_timeout=1000)
    publish(batch, 0, JobState.ACCEPTED, at=10)
    publish(batch, 0, JobState.RELEASED, at=20)
    assert batch.expired(T0 + 1019) is None
    expired = batch.expired(T0 + 1020)
    assert expired is not None
    assert expired.reason is ErrorType.NOT_STARTED
    assert expired.message == (
        "no worker accepted or finished a job for 1000 s: 0 of 4 jobs done, 0 running, 4 queued"
    )


def test_batch_without_timeouts_waits_for_ever() -> None:
    """Without limits, no deadline expires."""
    assert timeouts().expired(T0 + 1e9) is None


@pytest.mark.parametrize("limit", ["timeout", "heartbeat_timeout", "schedule_to_start_timeout"])
def test_no_timeout_applies_while_the_reader_is_not_live(limit: str) -> None:
    """Nor in the first seconds after that."""
    batch = timeouts(**{limit: 40})
    if limit == "heartbeat_timeout":
        publish(batch, 0, JobState.ACCEPTED)
    batch.live_since = math.inf
    assert batch.expired(T0 + 1e6) is None
    batch.live_since = T0 + 1e6
    assert batch.expired(T0 + 1e6 + MARGIN_SECONDS - 1) is None
    assert batch.expired(T0 + 1e6 + MARGIN_SECONDS) is not None


def test_wait_that_begins_after_the_timeout_first_reads_older_events() -> None:
    """It has the margin for that."""
    batch = timeouts(began=5000, timeout=100)
    assert batch.expired(T0 + 5000 + MARGIN_SECONDS - 1) is None
    assert batch.expired(T0 + 5000 + MARGIN_SECONDS) is not None
