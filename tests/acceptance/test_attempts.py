"""A task and its job part: retries, clears, kills, time-outs, on a real Airflow.

All runs begin at once: each waits for something else, and most wait most of the time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.messages import JobState, StatusEvent, utc_now
from kafka_bridge.protocol.topics import RESPONSE_TOPIC
from kafka_bridge.testing.local_airflow import Component, LocalAirflow

from .runs import Eventually, Run

pytestmark = [pytest.mark.airflow_versions, pytest.mark.usefixtures("patient_service")]

Begin = Callable[..., Run]
CANCEL_SECONDS = 15.0
"""From a person's mark until the worker says CANCELLED."""
GIVEN_UP = "Trigger reassigned to another triggerer"
"""What Airflow says since 3.4, and then does not ask the trigger."""
UNHEARD = ("silent", "nobody")
"""What these ask for, no worker takes."""
TIMED_OUT = ("overdue", "stalled", *UNHEARD)
DAGS = (
    *TIMED_OUT,  # they take longest
    "dies_before_deferral",
    "dies_after_its_wait",
    "dies_before_publish",
    "first_fails",
    "cleared",
    "cleared_while_running",
    "marked_failed",
    "marked_success",
    "killed_while_running",
    "left_alone",
)


@pytest.fixture(scope="module")
def runs(begin: Begin) -> dict[str, Run]:
    """Begin one run of each DAG; what was asked of nobody is accepted, and that is all."""
    begun = {
        dag_id: begin(dag_id, "jobs.nobody" if dag_id in UNHEARD else "patient.requests")
        for dag_id in DAGS
    }
    accept(begun["silent"])
    return begun


def accept(run: Run) -> None:
    """Accept a run's job, as a worker does that dies after it."""
    run.eventually(run.requests, "the request is published")
    (request,) = run.requests()
    accepted = StatusEvent(
        correlation_id=request.correlation_id,
        event_id="e-1",
        sequence=0,
        state=JobState.ACCEPTED,
        occurred_at=utc_now(),
        worker_id="sleepy-1",
    )
    key = request.correlation_id.encode()
    with RecordProducer(KafkaConfig({"bootstrap.servers": run.servers})) as producer:
        producer.publish(RESPONSE_TOPIC, key, encode(accepted), [])


@pytest.mark.parametrize("dag_id", ["dies_before_deferral", "dies_after_its_wait"])
def test_retry_waits_for_the_job_of_a_process_that_died_before_the_deferral(
    runs: dict[str, Run], dag_id: str
) -> None:
    """A job whose task dies after the publish is waited for by the retry, and runs once.

    So it is when the task's process has waited for its job for a moment.
    """
    run = runs[dag_id]
    assert run.wait() == "success"
    (request,) = run.requests()
    states = run.states(request)
    assert (states.count(JobState.ACCEPTED), states.count(JobState.SUCCEEDED)) == (1, 1)
    assert run.result() == 1
    assert run.reasons(request) == []
    assert f"Reattached to job {request.correlation_id} of an earlier try" in run.log(2)


def test_retry_after_a_process_that_died_before_the_publish_publishes_the_first_job(
    runs: dict[str, Run],
) -> None:
    """Of the first try nothing is in Kafka: the retry publishes a job, and it runs once."""
    run = runs["dies_before_publish"]
    assert run.wait() == "success"
    (request,) = run.requests()
    assert request.attempt == 1
    assert request.task is not None
    assert request.task.try_number == 2
    assert run.states(request).count(JobState.ACCEPTED) == 1
    assert f"Published job {request.correlation_id}" in run.log(2)


def test_retry_after_a_retryable_failure_runs_another_job(runs: dict[str, Run]) -> None:
    """A job that failed and may be tried again is followed by another, which succeeds."""
    run = runs["first_fails"]
    assert run.wait() == "success"
    first, second = run.requests()
    assert (first.attempt, second.attempt) == (1, 2)
    assert (run.end(first), run.end(second)) == ([JobState.FAILED], [JobState.SUCCEEDED])
    assert run.result() == 2
    assert "disk_full: the disk is full" in run.log(1)
    assert run.reasons(first) == []


@pytest.mark.parametrize("dag_id", ["cleared", "cleared_while_running", "cleared_before_deferral"])
def test_clearing_a_task_cancels_its_job_and_runs_another(
    runs: dict[str, Run], begin: Begin, dag_id: str
) -> None:
    """A cleared task's job is cancelled, and another runs; deferred, or waiting in a worker."""
    run = runs.get(dag_id) or begin(dag_id)  # not all at once: Airflow has four slots
    first = run.until_at_work()
    run.wait_for_task("deferred" if dag_id == "cleared" else "running")
    run.clear()
    assert run.until_ended(first) is JobState.CANCELLED
    second = run.until_at_work(requests=2)
    assert run.wait() == "success"
    assert run.end(second) == [JobState.SUCCEEDED]
    assert run.result() == 2
    assert run.reasons(second) == []


def test_triggerer_that_wakes_late_cancels_no_job(
    airflow: LocalAirflow, begin: Begin, eventually: Eventually, runs: dict[str, Run]
) -> None:
    """A triggerer that wakes after another one has taken over cancels nothing: the job goes on.

    Nor does one that is told to end, as in a rolling restart: the next one takes over.
    """
    for dag_id in TIMED_OUT:  # if their wait ended on the second one, the first would cancel them
        assert runs[dag_id].wait() == "failed"
    run = begin("moved")
    request = run.until_at_work()
    run.wait_for_task("deferred")
    starts = f"trigger moved/{run.run_id}/work/-1/1 "
    eventually(lambda: starts in run.log(), "the trigger runs")
    second = airflow.another(Component.TRIGGERER)
    airflow.pause(Component.TRIGGERER)
    try:
        second.start()
        eventually(lambda: run.log().count(starts) == 2, "the second triggerer takes over")
        airflow.resume(Component.TRIGGERER)
        goes_on = f"Job {request.correlation_id} goes on: its task is still deferred"
        given_up = (goes_on, GIVEN_UP)
        eventually(
            lambda: any(words in run.log() for words in given_up),
            "the first one leaves the job alone",
        )
        second.stop(5)
        (airflow.dags / "moved.done").touch()
        assert run.wait() == "success"
    finally:
        airflow.resume(Component.TRIGGERER)
        second.stop(5)
    assert run.reasons(request) == []
    assert run.states(request).count(JobState.ACCEPTED) == 1


def test_mark_cancels_jobs_while_no_triggerer_runs(airflow: LocalAirflow, begin: Begin) -> None:
    """A mark reaches the jobs that no triggerer waits for: a task's one, and a run's batch."""
    airflow.kill(Component.TRIGGERER)
    try:
        single, batch = begin("unseen"), begin("unseen_batch")
        for run in (single, batch):
            run.until_at_work(requests=1 if run is single else 3)
            run.wait_for_task("deferred")
        single.mark("failed")
        until_cancelled(single, since=time.time())
        airflow.mark_run(batch.dag_id, batch.run_id, "failed")
        until_cancelled(batch, since=time.time())
    finally:
        airflow.start(Component.TRIGGERER)
    assert single.wait() == "failed"


@pytest.mark.parametrize(
    ("dag_id", "state"),
    [
        ("marked_failed", "failed"),
        ("marked_success", "success"),
        ("killed_while_running", "failed"),
        ("failed_before_deferral", "failed"),
        ("succeeded_before_deferral", "success"),
        ("batch_before_deferral", "failed"),
    ],
)
def test_marking_a_task_cancels_its_job_within_seconds(
    runs: dict[str, Run], begin: Begin, dag_id: str, state: str
) -> None:
    """A task that a person ends, deferred or not: its worker confirms CANCELLED within 5 s.

    So it does where the triggerer has only just begun, as the test before this one leaves it, and
    has not yet taken up what the one that was killed had.
    """
    run = runs.get(dag_id) or begin(dag_id)
    run.until_at_work(requests=3 if dag_id.startswith("batch") else 1)
    run.wait_for_task("deferred" if dag_id.startswith("marked") else "running")
    marked_at = time.time()
    run.mark(state)
    reasons = until_cancelled(run, marked_at)
    assert run.wait() == state
    assert reasons <= {
        f"the task was marked {state}",
        "the task was marked, cleared or removed",
        "the task was killed",
    }


def until_cancelled(run: Run, since: float) -> set[str | None]:
    """Wait until all jobs of a run are CANCELLED, soon after a moment; return why."""
    reasons = set()
    for request in run.requests():
        assert run.until_ended(request) is JobState.CANCELLED
        (end,) = [e for e in run.events(request) if e.state is JobState.CANCELLED]
        assert end.occurred_at.timestamp() - since < CANCEL_SECONDS
        reasons |= set(run.reasons(request))
    return reasons


def test_job_goes_on_after_a_mark_without_cancel_on_kill(runs: dict[str, Run]) -> None:
    """With cancel_on_kill=False the job goes on when its task is marked."""
    run = runs["left_alone"]
    request = run.until_at_work()
    run.wait_for_task("deferred")
    run.mark("failed")
    assert run.wait() == "failed"
    assert run.reasons(request) == []
    assert run.end(request) == []


def test_job_that_runs_too_long_is_cancelled_and_fails_its_task(runs: dict[str, Run]) -> None:
    """A job that runs too long fails its task in words, is cancelled and stops."""
    run = runs["overdue"]
    request = run.until_at_work()
    assert run.wait() == "failed"
    assert "KafkaJobTimedOut: deadline_exceeded: the job ran longer than 5 s on worker" in run.log()
    assert "To allow more time, increase start_to_close_timeout." in run.log()
    assert run.until_ended(request) is JobState.CANCELLED
    (reason,) = run.reasons(request)
    assert reason is not None
    assert reason.startswith("deadline_exceeded: the job ran longer than 5 s")


def test_job_that_reports_nothing_new_is_cancelled_and_fails_its_task(runs: dict[str, Run]) -> None:
    """Its worker's heartbeats arrive, but prove no progress."""
    run = runs["stalled"]
    request = run.until_at_work()
    assert run.wait() == "failed"
    words = r"no_progress: worker \S+ lives, but has reported nothing new for 2 s"
    assert re.search(f"KafkaJobTimedOut: {words}", run.log())
    assert run.until_ended(request) is JobState.CANCELLED
    (reason,) = run.reasons(request)
    assert re.fullmatch(words, str(reason))


@pytest.mark.long
def test_time_of_all_tries_bounds_a_retry_and_ends_the_retries(
    begin: Begin, airflow: LocalAirflow
) -> None:
    """The second job has only the time that the first has left, and no third one follows."""
    run = begin("out_of_time")  # not with the others: they take Airflow's slots for too long
    assert run.wait() == "failed"
    first, second = run.requests()
    assert first.deadline == second.deadline is not None
    # The worker and the trigger have the same deadline: either may be the first.
    assert run.until_ended(second) in {JobState.FAILED, JobState.CANCELLED}
    of_worker = f"Job {second.correlation_id} is not retried: schedule_to_close_timeout has passed"
    of_trigger = "not_finished: the job has not finished within 60 s of its task's first submission"
    assert any(words in run.log(2) for words in (of_worker, of_trigger))
    (task,) = airflow.task_instances(run.dag_id, run.run_id)
    assert task["try_number"] == 2


def test_task_of_a_silent_worker_fails_and_its_job_is_cancelled(runs: dict[str, Run]) -> None:
    """A worker that accepts and says no more is lost: in words, and its job gets CANCEL."""
    run = runs["silent"]
    assert run.wait() == "failed"
    words = "worker_lost: worker sleepy-1 has published nothing for 2 s"
    assert f"KafkaJobTimedOut: {words}. Look at the logs of the service's workers." in run.log()
    assert run.reasons(run.requests()[0]) == [words]


def test_task_without_a_worker_fails_with_what_kafka_knows(runs: dict[str, Run]) -> None:
    """A job that nobody takes says what Kafka knows of its topic, and gets CANCEL."""
    run = runs["nobody"]
    assert run.wait() == "failed"
    words = "not_started: no worker accepted the job within 2 s"
    assert (
        f"KafkaJobTimedOut: {words}. Topic 'jobs.nobody' exists, but no consumer group reads it. "
        "Start the service's workers, or correct the name of the topic."
    ) in run.log()
    assert run.reasons(run.requests()[0]) == [words]
