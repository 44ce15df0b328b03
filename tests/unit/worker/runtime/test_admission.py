"""What is done with a request, by what is known of its job: one test for each decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.protocol.messages import JobRequest, JobState, Reference
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.admission import (
    DeadLetter,
    Decision,
    End,
    Skip,
    Start,
    TooManyDeliveries,
    decide,
)
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, Unfinished

from ..samples import JOB, request

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KEY = JOB.encode()
HANDLER = Handler.of("a.job", lambda _: None)
REFERENCE = Reference("s3://inputs/march.csv", "0" * 64, 5)
FAILURE = TopicNotFound("topic 'answers' does not exist")


def snapshot(delivery: int = 0, released: int = 0, **fields: Any) -> LedgerSnapshot:
    """Return a snapshot that knows how often the job was begun and handed back."""
    begun = {KEY: Unfinished(delivery, released)} if delivery else {}
    return LedgerSnapshot(since=0.0, epoch=1, unfinished=begun, **fields)


def decision(
    known: LedgerSnapshot | None = None,
    job: JobRequest | None = None,
    *,
    cancelled: str | None = None,
    handlers: dict[str, Handler] | None = None,
) -> Decision:
    """Return what is to be done at NOW with a limit of five deliveries."""
    return decide(
        job or request(),
        known or snapshot(),
        {"a.job": HANDLER} if handlers is None else handlers,
        cancelled=cancelled,
        max_deliveries=5,
        now=NOW,
    )


def ended(found: Decision) -> tuple[JobState, str, bool]:
    """Return state, error type and retryable of an end."""
    assert isinstance(found, End)
    return found.state, found.facts["error"].type, found.facts["error"].retryable


def test_new_job_is_started() -> None:
    """Nobody has begun it: this is the first delivery."""
    assert decision() == Start(HANDLER, delivery=1, suspect=False)


@pytest.mark.parametrize(
    ("delivery", "released", "suspect"),
    [
        (1, 0, False),
        (2, 0, True),
        (4, 0, True),
        (4, 3, False),
        (9, 9, False),
        (1, 2, False),
    ],
)
def test_job_that_was_begun_is_started_as_the_next_delivery(
    delivery: int, released: int, suspect: bool
) -> None:
    """Only deliveries that ended without a word make it a suspect: not those handed back."""
    assert decision(snapshot(delivery, released)) == Start(HANDLER, delivery + 1, suspect)


def test_job_that_kills_its_workers_is_failed_and_dead_lettered() -> None:
    """After five deliveries without an end; those that were handed back do not count."""
    assert isinstance(decision(snapshot(4)), Start)
    assert isinstance(decision(snapshot(12, 8)), Start)
    for known, times in ((snapshot(5), 5), (snapshot(13, 7), 6)):
        found = decision(known)
        assert ended(found) == (JobState.FAILED, "too_many_deliveries", False)
        assert isinstance(found, End)
        assert isinstance(found.poison, TooManyDeliveries)
        assert f"job {JOB} (a.job) was begun {times} times, and each time" in str(found.poison)
        assert found.delivery == known.unfinished[KEY].delivery + 1


@pytest.mark.parametrize("cancelled", [None, "cleared"])
def test_finished_job_is_skipped(cancelled: str | None) -> None:
    """Whatever else is said of it: cancelled, overdue or of a type that nobody knows."""
    known = snapshot(finished=frozenset({KEY}))
    late = request(deadline=NOW - SECOND)
    assert decision(known, late, cancelled=cancelled, handlers={}) == Skip()


def test_cancelled_job_is_ended_with_the_reason() -> None:
    """Also where it would have ended another way: it is what was asked for."""
    assert decision(
        snapshot(7), request(expires_at=NOW - SECOND), cancelled="cleared", handlers={}
    ) == End(JobState.CANCELLED, {"message": "cleared"}, delivery=8)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("expires_at", "expired", "run more workers, or increase schedule_to_start_timeout"),
        ("deadline", "deadline_exceeded", "had passed before the job started"),
    ],
)
def test_job_that_comes_too_late_fails_without_a_start(name: str, kind: str, words: str) -> None:
    """With the moment in the words; at that very moment it is still in time."""
    late: dict[str, Any] = {name: NOW - SECOND}
    found = decision(snapshot(1), request(**late))
    assert ended(found) == (JobState.FAILED, kind, True)
    assert isinstance(found, End)
    assert words in found.facts["error"].message
    assert (NOW - SECOND).isoformat() in found.facts["error"].message
    assert (found.delivery, found.poison) == (2, None)
    in_time: dict[str, Any] = {name: NOW}
    assert isinstance(decision(job=request(**in_time)), Start)


def test_late_job_of_an_unknown_type_fails_as_late() -> None:
    """A retry may help the one and not the other: the type is looked at by who is in time."""
    found = decision(job=request(expires_at=NOW - SECOND), handlers={})
    assert ended(found) == (JobState.FAILED, "expired", True)


def test_job_of_an_unknown_type_fails_and_is_not_retried() -> None:
    """The words say where to look."""
    found = decision(handlers={})
    assert ended(found) == (JobState.FAILED, "unknown_job_type", False)
    assert isinstance(found, End)
    assert "is the request on the right topic, and is the worker up to date?" in (
        found.facts["error"].message
    )


@pytest.mark.parametrize("inline", [None, b"{}"])
def test_reference_to_a_payload_is_refused(inline: bytes | None) -> None:
    """The handler would run without the payload, or with another one, and its job would succeed."""
    found = decision(snapshot(1), request(inline, payload_ref=REFERENCE))
    assert ended(found) == (JobState.FAILED, "unsupported_reference", False)
    assert isinstance(found, End)
    assert "s3://inputs/march.csv" in found.facts["error"].message
    assert "send the address in the payload itself" in found.facts["error"].message
    assert found.delivery == 2


def test_job_without_a_usable_response_topic_is_dead_lettered() -> None:
    """Its response topic cannot be read, so it cannot be known either whether it has ended."""
    known = snapshot(finished=frozenset({KEY}), failure=FAILURE)
    assert decision(known, cancelled="cleared") == DeadLetter(FAILURE)
