"""The life of a job."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol.lifecycle import NEXT, TERMINAL, JobHistory, Verdict, may_follow
from kafka_bridge.protocol.messages import JobState, StatusEvent

from .samples import EVENT
from .strategies import repeatable

ACCEPTED, RUNNING, RELEASED = JobState.ACCEPTED, JobState.RUNNING, JobState.RELEASED
SUCCEEDED, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED
UNKNOWN = JobState.UNKNOWN

TAKEN, STALE = Verdict.TAKEN, Verdict.STALE

states = st.sampled_from(JobState)
events = st.builds(
    lambda state, delivery: replace(EVENT, state=state, delivery=delivery),
    states,
    st.integers(1, 4),
)
histories = st.lists(events, max_size=12)


def _event(state: JobState, delivery: int = 1) -> StatusEvent:
    return replace(EVENT, state=state, delivery=delivery)


def test_the_table_names_every_state() -> None:
    """No state, queued included, is without a rule."""
    assert set(NEXT) == {None, *JobState}


def test_exactly_three_states_are_terminal() -> None:
    """A job ends with success, failure or cancellation, and in no other way."""
    assert {SUCCEEDED, FAILED, CANCELLED} == TERMINAL


@pytest.mark.parametrize("last", [*sorted(TERMINAL), RELEASED])
@pytest.mark.parametrize("state", JobState)
def test_nothing_follows_the_last_word(last: JobState, state: JobState) -> None:
    """After the end, and after handing the job back, a worker is silent in that delivery."""
    assert not may_follow(last, state)


@pytest.mark.parametrize("terminal", sorted(TERMINAL))
@pytest.mark.parametrize("state", [None, ACCEPTED, RUNNING, UNKNOWN])
def test_every_living_state_may_end(state: JobState | None, terminal: JobState) -> None:
    """Any living state, queued too, may go straight to a terminal one."""
    assert may_follow(state, terminal)


@pytest.mark.parametrize(
    ("previous", "following", "allowed"),
    [
        (None, ACCEPTED, True),
        (None, RUNNING, True),  # ACCEPTED may be left out
        (ACCEPTED, RUNNING, True),
        (RUNNING, RUNNING, True),  # heartbeats
        (ACCEPTED, RELEASED, True),
        (RUNNING, RELEASED, True),
        (ACCEPTED, ACCEPTED, False),
        (RUNNING, ACCEPTED, False),
    ],
)
def test_steps_of_one_delivery(
    previous: JobState | None, following: JobState, allowed: bool
) -> None:
    """The arrows of the diagram, and no arrow back."""
    assert may_follow(previous, following) is allowed


@pytest.mark.parametrize(
    ("told", "verdicts", "state"),
    [
        ([(ACCEPTED, 1), (RUNNING, 1), (SUCCEEDED, 1)], [TAKEN, TAKEN, TAKEN], SUCCEEDED),
        ([(SUCCEEDED, 1), (FAILED, 2)], [TAKEN, STALE], SUCCEEDED),
        ([(ACCEPTED, 2), (RUNNING, 1), (RUNNING, 2)], [TAKEN, STALE, TAKEN], RUNNING),
        ([(ACCEPTED, 2), (FAILED, 1)], [TAKEN, TAKEN], FAILED),  # whatever its delivery
        ([(RUNNING, 1), (RELEASED, 1)], [TAKEN, TAKEN], None),
        ([(RUNNING, 1), (RELEASED, 1), (ACCEPTED, 2)], [TAKEN, TAKEN, TAKEN], ACCEPTED),
        ([(ACCEPTED, 2), (RELEASED, 1)], [TAKEN, STALE], ACCEPTED),
        ([(RELEASED, 2), (RUNNING, 1)], [TAKEN, STALE], None),
        ([(ACCEPTED, 1), (ACCEPTED, 1)], [TAKEN, TAKEN], ACCEPTED),  # delivery may repeat
        ([(UNKNOWN, 1), (CANCELLED, 1)], [TAKEN, TAKEN], CANCELLED),
    ],
)
def test_what_a_reader_makes_of_events(
    told: list[tuple[JobState, int]], verdicts: list[Verdict], state: JobState | None
) -> None:
    """The first end wins, older deliveries are stale, and a released job is queued again."""
    history = JobHistory()
    assert [history.take(_event(*one)) for one in told] == verdicts
    assert history.state is state
    assert history.finished is (state in TERMINAL)


@repeatable
@given(histories)
def test_the_first_terminal_event_wins(story: list[StatusEvent]) -> None:
    """Whatever comes before and after it, the job's end is the first terminal event."""
    history = JobHistory()
    for event in story:
        history.take(event)
    ends = [event.state for event in story if event.state in TERMINAL]
    assert history.finished is bool(ends)
    assert not ends or history.state is ends[0]


@repeatable
@given(histories, st.sampled_from(sorted(TERMINAL)), histories)
def test_nothing_changes_after_the_end(
    before: list[StatusEvent], end: JobState, after: list[StatusEvent]
) -> None:
    """Every event after the end is stale and leaves what is known as it is."""
    history = JobHistory()
    for event in [*before, _event(end)]:
        history.take(event)
    known = (history.state, history.delivery)
    assert {history.take(event) for event in after} <= {STALE}
    assert (history.state, history.delivery) == known


@repeatable
@given(histories)
def test_deliveries_never_go_down(story: list[StatusEvent]) -> None:
    """The highest delivery seen is kept, and a living event below it is never taken."""
    history = JobHistory()
    deliveries = [history.delivery]
    for event in story:
        verdict = history.take(event)
        if event.state not in TERMINAL and event.delivery < deliveries[-1]:
            assert verdict is STALE
        deliveries.append(history.delivery)
    assert all(earlier <= later for earlier, later in pairwise(deliveries))


@repeatable
@given(histories, st.integers(1, 4))
def test_a_released_job_is_queued_and_can_be_accepted(
    story: list[StatusEvent], delivery: int
) -> None:
    """RELEASED that counts leads back to queued, and the next delivery starts the job anew."""
    history = JobHistory()
    for event in story:
        history.take(event)
    if history.take(_event(RELEASED, delivery)) is TAKEN:
        assert history.state is None
        assert history.take(_event(ACCEPTED, history.delivery + 1)) is TAKEN
        assert history.state is ACCEPTED
    else:
        assert history.finished or delivery < history.delivery


@repeatable
@given(st.lists(states, max_size=8))
def test_readers_take_all_that_one_worker_may_say(said: list[JobState]) -> None:
    """Writers and readers agree: what follows the table in one delivery is never stale."""
    history, previous = JobHistory(), None
    for state in said:
        if may_follow(previous, state):
            assert history.take(_event(state)) is TAKEN
            previous = state
