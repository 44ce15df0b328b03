"""What the task state store keeps of a job, and what becomes of it again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from kafka_bridge.airflow.submit.stored_job import STORE_KEY, load, save, save_outcome
from kafka_bridge.testing.fakes import FakeTaskState

from ..samples import stored

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_stored_job_is_found_again_as_it_was() -> None:
    """By a later try, in another process: Airflow stores it as JSON, and never lets it expire."""
    store = FakeTaskState()
    job = stored(attempt=3, outcome="worker_lost")
    save(store, job)
    assert store.retentions == {STORE_KEY: NEVER_EXPIRE}
    assert load(FakeTaskState(json.loads(json.dumps(store.values)))) == job


@pytest.mark.parametrize("value", [None, "", [], "a text"])
def test_task_that_has_submitted_nothing_has_no_job(value: Any) -> None:
    """The store may be empty, or say so in its own way."""
    assert load(FakeTaskState()) is None
    assert load(FakeTaskState({STORE_KEY: value})) is None


def test_outcome_is_added_to_the_stored_job() -> None:
    """All else stays as it was at the submission, and it still never expires."""
    store = FakeTaskState()
    save(store, stored(attempt=2))
    save_outcome(store, "FAILED")
    assert load(store) == stored(attempt=2, outcome="FAILED")
    assert store.retentions == {STORE_KEY: NEVER_EXPIRE}


def test_outcome_of_a_task_without_a_job_is_not_stored() -> None:
    """A task may fail before it has submitted one: nothing would be known of that job."""
    store = FakeTaskState()
    save_outcome(store, "FAILED")
    assert store.values == {}


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_800_000_000_001, 1_800_000_000_999])
def test_time_of_the_request_is_kept_to_the_millisecond(milliseconds: int) -> None:
    """The request is published again as it was: its time is what a worker's deadline rests on."""
    job = stored(created_at=milliseconds)
    assert job.created.tzinfo is UTC
    assert round(job.created.timestamp() * 1000) == milliseconds
    assert job.created.microsecond % 1000 == 0
    assert job.submitted_at == pytest.approx((job.created - EPOCH).total_seconds(), abs=1e-6)
