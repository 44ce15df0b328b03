"""The waiting rules, with a clock of the tests' own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS, Deadline, JobWatch, WaitLimits
from kafka_bridge.protocol.lifecycle import TERMINAL, Verdict
from kafka_bridge.protocol.messages import ErrorType, JobState

from ..samples import T0, event

LIMITS = WaitLimits(schedule_to_start=100, heartbeat=90, start_to_close=1000)
SHORT = WaitLimits(schedule_to_start=1, heartbeat=1, start_to_close=1)
repeatable = settings(derandomize=True, max_examples=150, deadline=None)


def watch(limits: WaitLimits = LIMITS, began: float = 0.0) -> JobWatch:
    """Return a watch on a job submitted at T0, waited for from ``began`` seconds later on."""
    return JobWatch(limits, submitted_at=T0, began=T0 + began)


def ends(job: JobWatch) -> tuple[float, ErrorType, str]:
    """Return when the wait ends, in seconds since the submission, as what, and the words."""
    deadline = job.deadline()
    assert deadline is not None
    return deadline.at - T0, deadline.reason, deadline.message


def test_queued_job_ends_as_not_started() -> None:
    """A job that nobody accepts is given up when schedule-to-start has passed since submission."""
    words = "no worker accepted the job within 100 s"
    assert ends(watch(began=60)) == (100, ErrorType.NOT_STARTED, words)


def test_silent_worker_is_lost() -> None:
    """Silence is measured from the arrival of the last event, and the words name the worker."""
    job = watch()
    job.take(event(JobState.ACCEPTED, at=5), T0 + 6)
    words = "worker w-1 has been silent for 90 s"
    assert ends(job) == (96, ErrorType.WORKER_LOST, words)
    job.take(event(JobState.RUNNING, at=50), T0 + 52)
    assert ends(job) == (142, ErrorType.WORKER_LOST, words)


def test_job_that_runs_too_long() -> None:
    """Heartbeats do not extend start-to-close, which counts from when the worker accepted."""
    job = watch()
    job.take(event(JobState.ACCEPTED, at=5), T0 + 6)
    job.take(event(JobState.RUNNING, at=950), T0 + 951)
    words = "the job ran longer than 1000 s on worker w-1"
    assert ends(job) == (1005, ErrorType.DEADLINE_EXCEEDED, words)


@pytest.mark.parametrize(
    ("limits", "states"),
    [
        (WaitLimits(), []),
        (WaitLimits(), [JobState.ACCEPTED]),
        (WaitLimits(heartbeat=1, start_to_close=1), []),
        (WaitLimits(schedule_to_start=1), [JobState.RUNNING]),
    ],
)
def test_no_limit_is_for_ever(limits: WaitLimits, states: list[JobState]) -> None:
    """A rule without a limit ends nothing, and a queued job knows only one rule."""
    job = watch(limits)
    for state in states:
        job.take(event(state), T0 + 1)
    assert job.deadline() is None


@pytest.mark.parametrize("states", [[], [JobState.ACCEPTED], [JobState.RELEASED]])
def test_no_rule_before_the_past_is_caught_up(states: list[JobState]) -> None:
    """A wait that began late, after a restart, ends by no rule before it could catch up."""
    job = watch(SHORT, began=5000)
    for state in states:
        job.take(event(state, at=2), T0 + 5001)
    assert ends(job)[0] == 5000 + MARGIN_SECONDS


def test_released_job_waits_anew() -> None:
    """A job handed back is queued again: schedule-to-start counts anew, the other rules rest."""
    job = watch()
    job.take(event(JobState.ACCEPTED, at=50), T0 + 50)
    job.take(event(JobState.RELEASED, at=80), T0 + 81)
    assert ends(job)[:2] == (181, ErrorType.NOT_STARTED)
    job.take(event(JobState.ACCEPTED, at=150, delivery=2, worker_id="w-2"), T0 + 150)
    words = "worker w-2 has been silent for 90 s"
    assert ends(job) == (240, ErrorType.WORKER_LOST, words)


def test_released_job_that_starts_again_runs_from_then_on() -> None:
    """start-to-close counts from the second acceptance once the first was handed back."""
    job = watch(WaitLimits(start_to_close=1000))
    job.take(event(JobState.ACCEPTED, at=50), T0 + 50)
    job.take(event(JobState.RELEASED, at=80), T0 + 81)
    job.take(event(JobState.ACCEPTED, at=150, delivery=2), T0 + 150)
    assert ends(job)[:2] == (1150, ErrorType.DEADLINE_EXCEEDED)


def test_stale_events_are_no_sign_of_life() -> None:
    """What a zombie of an older delivery says changes no deadline and not the worker's name."""
    job = watch()
    job.take(event(JobState.ACCEPTED, at=5, delivery=2, worker_id="w-2"), T0 + 6)
    before = ends(job)
    zombie = event(JobState.RUNNING, at=40, delivery=1, worker_id="w-1")
    assert job.take(zombie, T0 + 40) is Verdict.STALE
    assert ends(job) == before


@pytest.mark.parametrize("state", [JobState.UNKNOWN, JobState.RUNNING, JobState.ACCEPTED])
def test_whatever_a_worker_says_it_is_alive(state: JobState) -> None:
    """A queued job has started with the first thing a worker says, a later version's state too."""
    job = watch()
    assert job.take(event(state, at=5), T0 + 6) is Verdict.TAKEN
    assert ends(job)[:2] == (96, ErrorType.WORKER_LOST)


@pytest.mark.parametrize(
    ("occurred", "started"),
    [(5, 5), (-3600, 0), (3600, 6)],
    ids=["right", "an hour behind", "an hour ahead"],
)
def test_worker_with_a_wrong_clock(occurred: float, started: float) -> None:
    """A job starts between its submission and the arrival of its event, whatever it says."""
    job = watch(WaitLimits(start_to_close=1000))
    job.take(event(JobState.ACCEPTED, at=occurred), T0 + 6)
    assert ends(job)[0] == started + 1000


@pytest.mark.parametrize("states", [[], [JobState.ACCEPTED]])
def test_silence_proves_nothing_while_the_reader_hears_nothing(states: list[JobState]) -> None:
    """While the reader is cut off no rule fires, nor until workers had time to speak again."""
    job = watch(SHORT)
    for state in states:
        job.take(event(state), T0)
    job.live_since = math.inf
    assert job.deadline() is None
    assert job.passed(T0 + 1e9) is None
    job.live_since = T0 + 700
    assert ends(job)[0] == 700 + MARGIN_SECONDS


@pytest.mark.parametrize(
    ("now", "passed"), [(99.9, False), (100.0, True), (5000.0, True)], ids=["before", "at", "after"]
)
def test_passed(now: float, passed: bool) -> None:
    """A deadline has passed from its own moment on."""
    job = watch()
    assert job.passed(T0 + now) == (job.deadline() if passed else None)


def test_deadlines_are_ordered_by_time() -> None:
    """Of several rules the earliest ends the wait."""
    late = Deadline(2.0, ErrorType.WORKER_LOST, "a")
    early = Deadline(1.0, ErrorType.DEADLINE_EXCEEDED, "b")
    assert min(late, early) is early


histories = st.lists(
    st.tuples(
        st.sampled_from(JobState),
        st.integers(1, 3),
        st.floats(0, 500),
        st.floats(-5000, 5000),
    ),
    max_size=12,
)


@repeatable
@given(history=histories, began=st.floats(0, 10_000))
def test_no_history_ends_a_wait_too_early(
    history: list[tuple[JobState, int, float, float]], began: float
) -> None:
    """Whatever workers say: no rule fires before the catch-up, nor a whole limit before its due.

    Nobody is lost within the heartbeat time-out of the last event that counted.
    """
    job = watch(began=began)
    now = last_heard = T0 + began
    for state, delivery, pause, skew in history:
        now += pause
        occurred = round(now - T0 + skew)
        if job.take(event(state, at=occurred, delivery=delivery), now) is Verdict.TAKEN:
            last_heard = now
        deadline = job.deadline()
        assert deadline is not None
        assert deadline.at >= T0 + began + MARGIN_SECONDS
        if deadline.reason is ErrorType.WORKER_LOST:
            assert deadline.at >= last_heard + 90
        if deadline.reason is ErrorType.DEADLINE_EXCEEDED:
            assert deadline.at >= T0 + 1000


@repeatable
@given(states=st.lists(st.sampled_from(JobState), max_size=12))
def test_the_first_end_is_the_end(states: list[JobState]) -> None:
    """A job is finished exactly when a terminal event came, and all after it is stale."""
    job = watch()
    ended = False
    for number, state in enumerate(states):
        verdict = job.take(event(state), T0 + number)
        assert (verdict is Verdict.STALE) == ended
        ended = ended or state in TERMINAL
        assert job.history.finished == ended
