"""A job in flight: its phases, what may follow what, and what happens on the way."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from kafka_bridge.protocol.errors import BrokerUnreachable, TopicNotFound
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker import JobContext, StopReason
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime import reporter as reporter_module
from kafka_bridge.worker.runtime.in_flight import (
    OVER,
    TRANSITIONS,
    IllegalTransition,
    InFlightJob,
    Outcome,
    Phase,
)
from kafka_bridge.worker.runtime.publishing import Publishing

from ..samples import Collector, accepted_job, queued_job, run_here

P = Phase
S = JobState


def in_phase(phase: Phase) -> InFlightJob:
    """Return a job in a phase, however it came there."""
    return queued_job(phase=phase)


@pytest.mark.parametrize(("before", "after"), list(product(Phase, Phase)))
def test_transition_that_is_not_in_the_table_raises_and_changes_nothing(
    before: Phase, after: Phase
) -> None:
    """An error names both phases; what is in the table is entered."""
    job = in_phase(before)
    if after in TRANSITIONS[before]:
        job.enter(after)
        assert job.phase is after
    else:
        with pytest.raises(IllegalTransition, match=f"from {before.name} to {after.name}"):
            job.enter(after)
        assert not job.try_enter(after)
        assert job.phase is before


def test_every_phase_can_be_reached_and_ends() -> None:
    """Each but the first follows another one, and from each a job can get over."""
    assert TRANSITIONS.keys() == set(Phase)
    assert set().union(*TRANSITIONS.values()) == set(Phase) - {P.QUEUED}
    for phase in Phase:
        assert (
            not TRANSITIONS[phase]
            if phase in OVER
            else TRANSITIONS[phase] & OVER or (TRANSITIONS[phase] & {P.ENDING, P.RELEASING})
        )


def test_no_phase_is_entered_twice() -> None:
    """Whichever way a job takes, it comes to an end: the table has no circle."""

    def longest(phase: Phase, seen: tuple[Phase, ...] = ()) -> None:
        assert phase not in seen
        for following in TRANSITIONS[phase]:
            longest(following, (*seen, phase))

    longest(P.QUEUED)


def test_job_that_succeeds_goes_through_running_and_ending() -> None:
    """Its terminal event is published while it is ENDING, and says so when it is on record."""
    phases: list[Phase] = []
    settled: list[BaseException | None] = []

    def work(_: JobContext) -> None:
        phases.append(job.phase)

    job = accepted_job(work, collector := Collector(), settled=settled.append)
    run_here(job)
    assert (phases, job.phase, settled) == ([P.RUNNING], P.ENDING, [None])
    assert [event.state for event in collector.events] == [S.ACCEPTED, S.SUCCEEDED]


def test_job_that_is_cancelled_before_it_starts_is_never_running() -> None:
    """From READY it goes to ENDING: its handler is not called, and no time is counted."""
    job = accepted_job(lambda _: pytest.fail("it was begun"), collector := Collector())
    job.ask_to_stop(StopReason.CANCELLED, "not needed")
    run_here(job)
    assert (job.phase, job.has_begun, job.seconds) == (P.ENDING, False, 0.0)
    assert collector.events[-1].state is S.CANCELLED
    job.ask_to_stop(StopReason.DEADLINE, "late")
    assert job.stop.reason is StopReason.CANCELLED


def test_job_that_is_released_while_it_runs_publishes_no_end() -> None:
    """RELEASED is its last event, whatever its handler returns; it cannot be released twice."""
    released: list[BaseException | None] = []

    def work(_: JobContext) -> str:
        assert job.release("another worker takes over", released.append)
        assert not job.release("again", released.append)
        return "too late"

    job = accepted_job(
        work, collector := Collector(), settled=lambda _: pytest.fail("it has no end")
    )
    ended: list[JobState] = []
    observer: Any = job._observer
    observer.ended = lambda _job_type, state, _seconds: ended.append(state)
    run_here(job)
    assert (job.phase, job.stop.reason, released) == (P.RELEASING, StopReason.RELEASED, [None])
    assert ended == [S.RELEASED], "metrics count it"
    assert [event.state for event in collector.events] == [S.ACCEPTED, S.RELEASED]


def test_job_that_is_ending_is_not_released() -> None:
    """Its terminal event is on its way: another worker will find it in the ledger."""
    job = accepted_job(lambda _: None, collector := Collector())
    run_here(job)
    assert not job.release("shutting down", lambda _: pytest.fail("it was released"))
    assert [event.state for event in collector.events] == [S.ACCEPTED, S.SUCCEEDED]


def test_job_that_is_abandoned_publishes_nothing_more_and_is_asked_to_stop() -> None:
    """The result of its handler is lost: another worker publishes its own."""

    def work(job_context: JobContext) -> str:
        assert job.abandon()
        assert not job.abandon()
        job_context.progress(1)
        return "late"

    job = accepted_job(
        work, collector := Collector(), settled=lambda _: pytest.fail("it has no end")
    )
    run_here(job)
    job.tick()
    assert (job.phase, job.stop.reason) == (P.LOST, StopReason.LOST)
    assert [event.state for event in collector.events] == [S.ACCEPTED]


def test_job_that_was_released_as_its_turn_came_is_not_begun() -> None:
    """Two threads decide at once: the one that changes the phase first is right."""
    job = accepted_job(lambda _: pytest.fail("it was begun"), Collector())
    assert job.try_enter(P.RELEASING)
    assert not job.begin()
    run_here(job)
    assert (job.phase, job.has_begun) == (P.RELEASING, False)


def test_queued_job_can_be_abandoned_and_queued_again() -> None:
    """It has published nothing; the same request as a new job is QUEUED."""
    job = queued_job(offset=7)
    assert job.abandon()
    again = job.requeued()
    assert (job.phase, again.phase, again.offset) == (P.LOST, P.QUEUED, 7)
    assert again.request is job.request


def test_end_that_cannot_be_published_is_settled_with_the_reason() -> None:
    """The job stays ENDING: what becomes of its request is decided elsewhere."""
    settled: list[BaseException | None] = []
    error = TopicNotFound("no topic 'answers'")
    job = accepted_job(
        lambda _: None,
        Collector(lambda event: error if event.state is S.SUCCEEDED else None),
        settled=settled.append,
    )
    run_here(job)
    assert (job.phase, settled) == (P.ENDING, [error])
    job.enter(P.DEAD_LETTERING)
    job.enter(P.DONE)


def test_end_that_is_not_acknowledged_is_published_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat's tick sends it, after a pause, while the job is ENDING."""
    monkeypatch.setattr(reporter_module, "RETRY_SECONDS", 0.0)
    refused = [BrokerUnreachable("gone")]
    settled: list[BaseException | None] = []
    job = accepted_job(
        lambda _: None,
        collector := Collector(
            lambda event: refused.pop() if event.state is S.SUCCEEDED and refused else None
        ),
        settled=settled.append,
    )
    run_here(job)
    assert (job.phase, settled, job.has_published_end) == (P.ENDING, [], False)
    job.tick()
    assert (job.phase, settled, job.has_published_end) == (P.ENDING, [None], True)
    assert [event.state for event in collector.events] == [S.ACCEPTED, S.SUCCEEDED]


def test_rejected_job_has_a_terminal_event_and_no_handler() -> None:
    """It is REJECTING until that is on record."""
    settled: list[BaseException | None] = []
    job = queued_job()
    reporter = Publishing(collector := Collector(), "w-1").reporter(job, 1)
    outcome = Outcome(S.CANCELLED, {"message": "why"})
    job.reject(reporter, outcome, Observer(), lambda _, error: settled.append(error))
    assert (job.phase, settled) == (P.REJECTING, [None])
    assert [event.state for event in collector.events] == [S.CANCELLED]
    job.enter(P.DONE)
