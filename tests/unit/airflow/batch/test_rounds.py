"""What a batch says of its rounds, and what later tries make of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kafka_bridge.airflow.batch.rounds import Batch, Round, known_batch
from kafka_bridge.airflow.submit.submission import Submission
from kafka_bridge.protocol.ids import PREFIX_LENGTH, is_correlation_id, task_prefix

from ..samples import JOB, OTHER_JOB, submission

FIRST = Round(JOB, 1, 10_000, 1_800_000_000_123, [4, 5, 6])
SECOND = Round(OTHER_JOB, 2, 7, 1_800_000_060_000, [8, 8, 8])
BATCH = Batch("q", "a", [FIRST])
LIFE = (1_799_999_999_000, 2)


def said(batch: Batch, **changes: Any) -> Submission:
    """Return what the first request of a batch's last round says."""
    told = replace(batch.submission(LIFE, try_number=len(batch.rounds)), **changes)
    again = Submission.of_headers([*told.header(), ("kafka_replyTopic", b"a")])
    assert again == told
    return told


def test_batch_survives_the_deferral() -> None:
    """With all its rounds: Airflow stores it as JSON."""
    batch = BATCH.with_round(SECOND)
    assert Batch.from_json(json.loads(json.dumps(batch.to_json()))) == batch


def test_number_of_jobs_does_not_change_how_much_is_stored_and_sent() -> None:
    """No list of ids: Airflow stores it, and the first request of a round carries it."""
    batch = BATCH.with_round(SECOND)
    assert len(json.dumps(batch.to_json())) < 400
    ((_, header),) = said(batch).header()
    assert len(header) < 200


def test_ids_of_the_jobs_follow_from_the_round() -> None:
    """Each time the same ones, all different, and others in each round."""
    ids = FIRST.job_ids()
    assert ids == FIRST.job_ids()
    assert all(map(is_correlation_id, ids))
    assert len({*ids, *SECOND.job_ids()}) == 10_000 + 7


def test_draft_is_a_new_round_of_this_moment_without_jobs() -> None:
    """Its id is a new one each time, so that no two rounds share a job."""
    before, prefix = datetime.now(UTC), task_prefix("s", "d", "r", "t", -1)
    draft, another = Round.draft(prefix, 3), Round.draft(prefix, 3)
    assert draft.batch_id != another.batch_id
    assert draft.batch_id[:PREFIX_LENGTH] == another.batch_id[:PREFIX_LENGTH] == prefix
    assert (draft.attempt, draft.count, draft.ends) == (3, 0, [])
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
    assert BATCH.rounds == [FIRST], "what was known before is not changed"
    assert batch.only_last() == Batch("q", "a", [SECOND])


def test_later_try_knows_the_batch_with_all_its_rounds() -> None:
    """Each round's first request says to which batch it belongs."""
    both = BATCH.with_round(SECOND)
    known = known_batch("q", [said(BATCH), said(both)])
    assert known is not None
    assert (known.batch, known.last, known.is_whole) == (both, said(both), True)


def test_later_try_knows_only_the_batch_that_was_submitted_last() -> None:
    """The batch before a clear was another one, with the same attempts or not."""
    new = Batch("q", "a", [replace(SECOND, attempt=3)])
    for before in (BATCH, BATCH.with_round(SECOND)):
        known = known_batch("q", [said(BATCH), said(before), said(new, max_tries=5)])
        assert known is not None
        assert (known.batch, known.is_whole) == (new, True)


def test_batch_whose_first_round_is_gone_is_not_whole() -> None:
    """Retention has removed it: which payloads the second round has is not known."""
    known = known_batch("q", [said(BATCH.with_round(SECOND))])
    assert known is not None
    assert (known.batch.rounds, known.is_whole) == ([SECOND], False)


@pytest.mark.parametrize("submissions", [[], [submission()]])
def test_task_that_has_submitted_no_batch_has_none(submissions: list[Submission]) -> None:
    """A single job is no batch: the author has changed the operator."""
    assert known_batch("q", submissions) is None
