"""The timeouts of a job, with a clock of the tests' own."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS, Deadline, JobTimeouts
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.lifecycle import TERMINAL, Verdict
from kafka_bridge.protocol.messages import ErrorType, JobState, Progress
from unit.examples_count import examples

from ..samples import JOB, T0, TOPIC, event

LIMITS: dict[str, float] = {
    "schedule_to_start_timeout": 100,
    "heartbeat_timeout": 90,
    "start_to_close_timeout": 1000,
}
SHORT: dict[str, float] = dict.fromkeys(LIMITS, 1)
repeatable = settings(derandomize=True, max_examples=examples(150), deadline=None)


def timeouts(limits: dict[str, float] = LIMITS, began: float = 0.0) -> JobTimeouts:
    """Return the timeouts of a job submitted at T0, waited for from ``began`` seconds later on."""
    trigger = KafkaJobTrigger(
        correlation_id=JOB,
        kafka_config_id="mine",
        response_topic=TOPIC,
        start_offsets=[0],
        submitted_at=T0,
        **limits,  # type: ignore[arg-type]
    )
    return JobTimeouts(trigger.spec, began=T0 + began)


def ends(job: JobTimeouts) -> tuple[float, ErrorType, str]:
    """Return when the wait ends, in seconds since the submission, as what, and the words."""
    deadline = job.deadline()
    assert deadline is not None
    return deadline.at - T0, deadline.reason, deadline.message


def test_job_that_no_worker_accepts_ends_as_not_started() -> None:
    """schedule-to-start counts from the submission, not from when the wait began."""
    words = "no worker accepted the job within 100 s"
    assert ends(timeouts(began=60)) == (100, ErrorType.NOT_STARTED, words)


def test_worker_that_publishes_nothing_counts_as_lost() -> None:
    """The heartbeat timeout counts from the last event's arrival; the text names the worker."""
    job = timeouts()
    job.apply(event(JobState.ACCEPTED, at=5), T0 + 6)
    words = "worker w-1 has published nothing for 90 s"
    assert ends(job) == (96, ErrorType.WORKER_LOST, words)
    job.apply(event(JobState.RUNNING, at=50), T0 + 52)
    assert ends(job) == (142, ErrorType.WORKER_LOST, words)


def test_heartbeats_do_not_extend_start_to_close() -> None:
    """start-to-close counts from when the worker accepted the job, whatever arrives after that."""
    job = timeouts()
    job.apply(event(JobState.ACCEPTED, at=5), T0 + 6)
    job.apply(event(JobState.RUNNING, at=950), T0 + 951)
    words = "the job ran longer than 1000 s on worker w-1"
    assert ends(job) == (1005, ErrorType.DEADLINE_EXCEEDED, words)


def test_job_that_reports_nothing_new_ends_as_no_progress() -> None:
    """Heartbeats do not count, nor does a report that is repeated; each new one does."""
    job = timeouts({"heartbeat_timeout": 90, "progress_timeout": 200})
    words = "worker w-1 lives, but has reported nothing new for 200 s"

    def after(at: int, **facts: Any) -> float:
        job.apply(event(JobState.RUNNING, at=at, **facts), T0 + at)
        for heartbeat in range(at + 50, at + 200, 50):
            job.apply(event(JobState.RUNNING, at=heartbeat), T0 + heartbeat)
        ended, reason, said = ends(job)
        assert (reason, said) == (ErrorType.NO_PROGRESS, words)
        return ended

    job.apply(event(JobState.ACCEPTED, at=5), T0 + 5)
    assert after(10) == 205 + 5, "running is news"
    half = Progress(1, 2)
    assert after(200, progress=half) == 400
    assert after(390, progress=half) == 400, "the same as before"
    assert after(395, progress=half, message="copying") == 595
    assert after(590, external_id="batch-7") == 790
    assert after(780, attributes={"checkpoint": "7"}) == 980
    assert after(960, attributes={"checkpoint": "7"}) == 980, "the same as before"
    job.apply(EventHead(1, JobState.RUNNING), T0 + 970)
    assert ends(job)[0] == 1060, "too many events to read: it does work, and the heartbeats count"


def test_second_delivery_has_the_whole_time_for_its_progress() -> None:
    """What the worker before had reported does not count."""
    job = timeouts({"progress_timeout": 200})
    job.apply(event(JobState.RUNNING, at=5, message="copying"), T0 + 5)
    job.apply(event(JobState.RELEASED, at=100), T0 + 100)
    assert job.deadline() is None
    job.apply(event(JobState.ACCEPTED, at=180, delivery=2), T0 + 180)
    assert ends(job)[:2] == (380, ErrorType.NO_PROGRESS)


WHOLE = {"schedule_to_close_timeout": 200, "first_submitted_at": T0 - 50}
NOT_FINISHED = "the job has not finished within 200 s of its task's first submission"


def test_schedule_to_close_counts_from_the_tasks_first_submission() -> None:
    """Whether the job is queued, runs or was released: nothing that arrives extends it."""
    job = timeouts({**LIMITS, **WHOLE, "schedule_to_start_timeout": 1000})
    assert ends(job) == (150, ErrorType.NOT_FINISHED, NOT_FINISHED)
    job.apply(event(JobState.ACCEPTED, at=140), T0 + 140)
    assert ends(job) == (150, ErrorType.NOT_FINISHED, NOT_FINISHED)
    job.apply(event(JobState.RELEASED, at=145), T0 + 145)
    assert ends(job) == (150, ErrorType.NOT_FINISHED, NOT_FINISHED)


def test_another_timeout_that_passes_earlier_ends_the_wait() -> None:
    """The longest time in all shortens no other timeout."""
    assert ends(timeouts({**LIMITS, **WHOLE}))[:2] == (100, ErrorType.NOT_STARTED)


def test_of_two_timeouts_that_have_passed_the_one_without_a_retry_counts() -> None:
    """A wait that begins late finds both: a retry would end at once."""
    job = timeouts({**LIMITS, **WHOLE}, began=500)
    assert ends(job)[:2] == (500 + MARGIN_SECONDS, ErrorType.NOT_FINISHED)


@pytest.mark.parametrize(
    ("limits", "states"),
    [
        ({}, []),
        ({}, [JobState.ACCEPTED]),
        ({"heartbeat_timeout": 1, "start_to_close_timeout": 1}, []),
        ({"schedule_to_start_timeout": 1}, [JobState.RUNNING]),
    ],
)
def test_timeout_that_is_not_set_ends_no_wait(
    limits: dict[str, float], states: list[JobState]
) -> None:
    """A timeout of None ends nothing, and only schedule-to-start applies to a queued job."""
    job = timeouts(limits)
    for state in states:
        job.apply(event(state), T0 + 1)
    assert job.deadline() is None


@pytest.mark.parametrize("states", [[], [JobState.ACCEPTED], [JobState.RELEASED]])
def test_wait_that_begins_late_ends_only_after_it_could_catch_up(states: list[JobState]) -> None:
    """After a restart of the triggerer, older events are still to be read."""
    job = timeouts(SHORT, began=5000)
    for state in states:
        job.apply(event(state, at=2), T0 + 5001)
    assert ends(job)[0] == 5000 + MARGIN_SECONDS


def test_released_job_is_queued_again() -> None:
    """Only schedule-to-start applies to a released job, and it counts from the release."""
    job = timeouts()
    job.apply(event(JobState.ACCEPTED, at=50), T0 + 50)
    job.apply(event(JobState.RELEASED, at=80), T0 + 81)
    assert ends(job)[:2] == (181, ErrorType.NOT_STARTED)
    job.apply(event(JobState.ACCEPTED, at=150, delivery=2, worker_id="w-2"), T0 + 150)
    words = "worker w-2 has published nothing for 90 s"
    assert ends(job) == (240, ErrorType.WORKER_LOST, words)


def test_start_to_close_counts_from_the_second_acceptance_of_a_released_job() -> None:
    """The time of the worker that released the job does not count."""
    job = timeouts({"start_to_close_timeout": 1000})
    job.apply(event(JobState.ACCEPTED, at=50), T0 + 50)
    job.apply(event(JobState.RELEASED, at=80), T0 + 81)
    job.apply(event(JobState.ACCEPTED, at=150, delivery=2), T0 + 150)
    assert ends(job)[:2] == (1150, ErrorType.DEADLINE_EXCEEDED)


def test_event_of_an_older_delivery_changes_no_deadline() -> None:
    """It changes neither a deadline nor the name of the worker."""
    job = timeouts()
    job.apply(event(JobState.ACCEPTED, at=5, delivery=2, worker_id="w-2"), T0 + 6)
    before = ends(job)
    zombie = event(JobState.RUNNING, at=40, delivery=1, worker_id="w-1")
    assert job.apply(zombie, T0 + 40) is Verdict.STALE
    assert ends(job) == before


@pytest.mark.parametrize("state", [JobState.UNKNOWN, JobState.RUNNING, JobState.ACCEPTED])
def test_any_event_of_a_worker_starts_a_queued_job(state: JobState) -> None:
    """A state that only a later version knows does, too."""
    job = timeouts()
    assert job.apply(event(state, at=5), T0 + 6) is Verdict.TAKEN
    assert ends(job)[:2] == (96, ErrorType.WORKER_LOST)


@pytest.mark.parametrize(
    ("occurred", "started"),
    [(5, 5), (-3600, 0), (3600, 6)],
    ids=["right", "an hour behind", "an hour ahead"],
)
def test_wrong_clock_of_a_worker_moves_the_start_only_within_bounds(
    occurred: float, started: float
) -> None:
    """A job starts between its submission and the arrival of its event, whatever the event says."""
    job = timeouts({"start_to_close_timeout": 1000})
    job.apply(event(JobState.ACCEPTED, at=occurred), T0 + 6)
    assert ends(job)[0] == started + 1000


@pytest.mark.parametrize("states", [[], [JobState.ACCEPTED]])
def test_no_timeout_applies_while_the_reader_is_not_live(states: list[JobState]) -> None:
    """Nor does one until workers had time to publish again."""
    job = timeouts(SHORT)
    for state in states:
        job.apply(event(state), T0)
    job.live_since = math.inf
    assert job.deadline() is None
    assert job.expired(T0 + 1e9) is None
    job.live_since = T0 + 700
    assert ends(job)[0] == 700 + MARGIN_SECONDS


@pytest.mark.parametrize(
    ("now", "has_expired"),
    [(99.9, False), (100.0, True), (5000.0, True)],
    ids=["before", "at", "after"],
)
def test_deadline_expires_at_its_own_moment(now: float, has_expired: bool) -> None:
    """Not before, and from then on."""
    job = timeouts()
    assert job.expired(T0 + now) == (job.deadline() if has_expired else None)


def test_earliest_of_several_deadlines_ends_the_wait() -> None:
    """Deadlines are ordered by time alone."""
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
    """No timeout ends a wait before the catch-up, nor a job before its whole time has passed.

    No worker counts as lost within the heartbeat timeout of the last event that counted.
    """
    job = timeouts(began=began)
    now = last_event_at = T0 + began
    for state, delivery, pause, skew in history:
        now += pause
        occurred = round(now - T0 + skew)
        if job.apply(event(state, at=occurred, delivery=delivery), now) is Verdict.TAKEN:
            last_event_at = now
        deadline = job.deadline()
        assert deadline is not None
        assert deadline.at >= T0 + began + MARGIN_SECONDS
        if deadline.reason is ErrorType.WORKER_LOST:
            assert deadline.at >= last_event_at + 90
        if deadline.reason is ErrorType.DEADLINE_EXCEEDED:
            assert deadline.at >= T0 + 1000


@repeatable
@given(states=st.lists(st.sampled_from(JobState), max_size=12))
def test_first_terminal_event_finishes_a_job(states: list[JobState]) -> None:
    """Every event after it is stale."""
    job = timeouts()
    ended = False
    for number, state in enumerate(states):
        verdict = job.apply(event(state), T0 + number)
        assert (verdict is Verdict.STALE) == ended
        ended = ended or state in TERMINAL
        assert job.history.finished == ended
