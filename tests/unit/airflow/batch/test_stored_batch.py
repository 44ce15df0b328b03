"""What the task state store keeps of a batch: enough to find its jobs, and no more."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from kafka_bridge.airflow.batch.stored_batch import STORE_KEY, Batch, Round
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.testing.fakes import FakeTaskState

from ..samples import JOB, OTHER_JOB

FIRST = Round(JOB, 1, 10_000, 1_800_000_000_123, [3, 0], [4, 5, 6])
SECOND = Round(OTHER_JOB, 2, 7, 1_800_000_060_000, [9, 9], [8, 8, 8])
BATCH = Batch(2, "q", "a", [FIRST])


def test_stored_batch_is_found_again_as_it_was() -> None:
    """With all its rounds: Airflow stores it as JSON, and never lets it expire."""
    store = FakeTaskState()
    batch = BATCH.with_round(SECOND).abandoned()
    batch.save(store)
    assert store.retentions == {STORE_KEY: NEVER_EXPIRE}
    assert Batch.load(FakeTaskState(json.loads(json.dumps(store.values)))) == batch


def test_number_of_jobs_does_not_change_how_much_is_stored() -> None:
    """No list of ids: a store keeps it for ever."""
    store = FakeTaskState()
    BATCH.with_round(SECOND).save(store)
    assert len(json.dumps(store.values[STORE_KEY])) < 500


@pytest.mark.parametrize("value", [None, "", [], "a text"])
def test_task_that_has_submitted_nothing_has_no_batch(value: Any) -> None:
    """The store may be empty, or say so in its own way."""
    assert Batch.load(FakeTaskState()) is None
    assert Batch.load(FakeTaskState({STORE_KEY: value})) is None


def test_ids_of_the_jobs_follow_from_what_is_stored() -> None:
    """Each time the same ones, all different, and others in each round."""
    ids = FIRST.job_ids()
    assert ids == FIRST.job_ids()
    assert all(map(is_correlation_id, ids))
    assert len({*ids, *SECOND.job_ids()}) == 10_000 + 7


def test_draft_is_a_new_round_of_this_moment_without_jobs() -> None:
    """Its id is a new one each time, so that no two rounds share a job."""
    before = datetime.now(UTC)
    draft, another = Round.draft(3), Round.draft(3)
    assert draft.batch_id != another.batch_id
    assert (draft.attempt, draft.count, draft.abandoned) == (3, 0, False)
    assert (draft.request_offsets, draft.response_offsets) == ([], [])
    millisecond = timedelta(milliseconds=1)
    assert before - millisecond < draft.created_at <= datetime.now(UTC)


def test_time_of_a_round_is_exact_to_the_millisecond() -> None:
    """Its jobs' deadlines are counted from it, in each try anew."""
    assert FIRST.created_at == datetime(2027, 1, 15, 8, 0, 0, 123_000, tzinfo=UTC)


def test_first_round_has_all_payloads_and_the_last_one_is_waited_for() -> None:
    """A later round has only those that another attempt may help."""
    batch = BATCH.with_round(SECOND)
    assert (batch.total, batch.last) == (10_000, SECOND)
    assert batch.described() == {
        "batch_id": OTHER_JOB,
        "attempt": 2,
        "jobs": 7,
        "payloads": 10_000,
        "request_topic": "q",
        "response_topic": "a",
    }
    assert BATCH.rounds == [FIRST], "what was stored before is not changed"


def test_only_the_last_round_is_abandoned() -> None:
    """The task failed because of that one; a round after it is waited for again."""
    abandoned = BATCH.with_round(SECOND).abandoned()
    assert [each.abandoned for each in abandoned.rounds] == [False, True]
    assert not abandoned.with_round(FIRST).last.abandoned
