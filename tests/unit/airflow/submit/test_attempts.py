"""What a try does about the job of the one before: retries, clears, crashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import confluent_kafka as ck
import pytest
from airflow.exceptions import TaskDeferred

from kafka_bridge.airflow import KafkaJobOperator, KafkaJobPublishOperator
from kafka_bridge.airflow.compat import AirflowException, AirflowFailException
from kafka_bridge.airflow.exceptions import (
    KafkaJobCancelled,
    KafkaJobKilled,
    KafkaJobTimedOutNonRetryable,
)
from kafka_bridge.airflow.submit.submission import Submission
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import BrokerUnreachable
from kafka_bridge.protocol.messages import JobState

from ..samples import JOB, OTHER_JOB, T0, TOPIC, context, event, handle, submission
from ..stand_ins import Kafka, Log

CRASHED = "Reattached to job %s of an earlier try"


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator."""
    return KafkaJobOperator(**{"task_id": "work", "job_type": "files.audit", **arguments})


def run(made: KafkaJobOperator, try_number: int = 2, **facts: Any) -> str:
    """Execute a try; return the id of the job that it waits for."""
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context(try_number, **facts))
    _, arguments = caught.value.trigger.serialize()
    return str(arguments["correlation_id"])


def record(value: bytes, at: float, offset: int = 17) -> ck.Message:
    """Return a record of the job that was published ``at`` seconds after the submission."""
    return ck.Message(
        topic=TOPIC,
        partition=2,
        offset=offset,
        key=JOB.encode(),
        value=value,
        headers=[],
        timestamp=(ck.TIMESTAMP_CREATE_TIME, int((T0 + at) * 1000)),
    )


def said(state: JobState, at: float = 0.5, offset: int = 17) -> ck.Message:
    """Return the record of an event of the job."""
    return record(encode(event(state, at=at)), at, offset)


def only(kafka: Kafka) -> Submission:
    """Return the one submission that was published."""
    (found,) = kafka.submissions
    assert found is not None
    return found


def test_first_try_submits_a_job(kafka: Kafka) -> None:
    """A first try has no earlier job: nobody looks for one, none is cancelled."""
    kafka.earlier = {OTHER_JOB: submission()}  # of a deleted run of the same name, for example
    job = run(operator(), try_number=1)
    assert [each.correlation_id for each in kafka.requests] == [job]
    published = only(kafka)
    assert (published.attempt, published.try_number, published.max_tries) == (1, 1, 2)
    assert published.run_began == T0 * 1000
    assert (published.ends, published.response_topic) == ([4, 5, 6], TOPIC)
    assert not [line for line in kafka.journal if line.startswith("searched")]
    assert kafka.scanned == []
    assert kafka.cancelled == []


def test_retry_reattaches_to_a_running_job(kafka: Kafka, log: Log) -> None:
    """The job is waited for again, from its own start offsets: nothing is published."""
    kafka.earlier = {OTHER_JOB: submission(), JOB: submission(attempt=2, response_topic="a")}
    kafka.events = [said(JobState.ACCEPTED)]
    assert run(operator(broker_timeout=12)) == JOB
    assert kafka.published == []
    assert kafka.cancelled == []
    assert kafka.scanned == [("a", [4, 5, 6], 12.0)]
    assert CRASHED % JOB in log.lines


def test_retry_after_a_crash_before_the_publish_submits_the_first_job(kafka: Kafka) -> None:
    """Nothing of the earlier try is in Kafka, so nothing of it counts."""
    run(operator())
    assert (only(kafka).attempt, only(kafka).try_number) == (1, 2)
    assert "searched jobs.requests" in kafka.journal
    assert kafka.cancelled == []


def test_retry_returns_the_result_of_a_job_that_has_succeeded(kafka: Kafka) -> None:
    """The result that nobody fetched is the task's, at once."""
    kafka.earlier = {JOB: submission()}
    kafka.events = [said(JobState.ACCEPTED), said(JobState.SUCCEEDED), said(JobState.FAILED)]
    kafka.ended = event(JobState.SUCCEEDED, result=b"7", result_type="application/json")
    assert operator().execute(context(2)) == 7
    assert kafka.published == []


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_retry_submits_another_job_after_a_failed_one(
    kafka: Kafka, state: JobState, log: Log
) -> None:
    """Another job is submitted; the old one is known to have ended and needs no CANCEL."""
    kafka.earlier = {JOB: submission()}
    kafka.events = [said(state)]
    job = run(operator())
    assert job != JOB
    assert (only(kafka).attempt, only(kafka).try_number) == (2, 2)
    assert kafka.cancelled == []
    assert f"Job {JOB} was attempt 1 of this task; it ended as {state}" in log.lines


NOT_STARTED = "no worker accepted the job within 100 s"
WORKER_LOST = "the worker has published nothing for 200 s"
TOO_LONG = "the job ran longer than 500 s on the worker"
TIMES = {
    "schedule_to_start_timeout": 100,
    "heartbeat_timeout": 200,
    "start_to_close_timeout": 500,
}
"""The timeouts of the job whose events are in the next test."""


@pytest.mark.parametrize(
    ("events", "now", "why"),
    [
        ([], 99, None),
        ([], 101, NOT_STARTED),
        ([said(JobState.RELEASED, 90)], 180, None),
        ([said(JobState.RELEASED, 90)], 191, NOT_STARTED),
        ([said(JobState.ACCEPTED, 90)], 289, None),
        ([said(JobState.ACCEPTED, 90)], 291, WORKER_LOST),
        ([said(JobState.ACCEPTED, 90), said(JobState.RUNNING, 280)], 479, None),
        ([said(JobState.ACCEPTED, n) for n in (90, 250, 400, 550)], 589, None),
        ([said(JobState.ACCEPTED, n) for n in (90, 250, 400, 550)], 591, TOO_LONG),
        ([record(b"junk", 90)], 101, NOT_STARTED),
        ([said(JobState.ACCEPTED, -5000)], 199, None),
        ([said(JobState.ACCEPTED, -5000)], 201, WORKER_LOST),
    ],
)
def test_retry_submits_another_job_if_a_timeout_has_passed(
    kafka: Kafka, events: list[ck.Message], now: float, why: str | None
) -> None:
    """A try that waited for the job has failed of this timeout, or would: the job is cancelled.

    The wait is over when it would be over for a task that has waited all the time. A job without
    events has only the time until its start. A clock that is slow proves nothing.
    """
    kafka.earlier = {JOB: submission()}
    kafka.events = events
    kafka.now = T0 + now
    job = run(operator(**TIMES))
    assert (job == JOB) == (why is None)
    assert kafka.cancelled == ([] if why is None else [(JOB, f"{why}: another attempt follows")])
    if why is not None:
        assert kafka.journal.index("cancelled") < kafka.journal.index("published")


def test_no_timeout_passes_in_the_first_seconds_of_a_job(kafka: Kafka) -> None:
    """As for a task that waits: workers need a moment, however short the timeouts are."""
    kafka.earlier = {JOB: submission()}
    kafka.now = T0 + 29
    assert run(operator(schedule_to_start_timeout=1)) == JOB


def test_resubmit_cancels_the_job_and_submits_another(kafka: Kafka) -> None:
    """With on_retry="resubmit" a retry cancels the job, and submits another."""
    kafka.earlier = {JOB: submission()}
    job = run(operator(on_retry="resubmit"))
    assert job != JOB
    assert kafka.cancelled == [(JOB, "on_retry is 'resubmit': another attempt follows")]
    assert only(kafka).attempt == 2


FIRST = {OTHER_JOB: submission(), JOB: submission(attempt=2, created_at=int(T0 * 1000) + 300_000)}
"""The jobs of two tries; the second one was submitted 300 s after the first."""


def test_retry_bounds_its_job_by_the_time_since_the_first_submission(kafka: Kafka) -> None:
    """The worker and the trigger have the time that the earlier jobs have left."""
    kafka.earlier, kafka.events = FIRST, [said(JobState.FAILED, 310)]
    kafka.now = T0 + 320
    with pytest.raises(TaskDeferred) as caught:
        operator(schedule_to_close_timeout=600).execute(context(3))
    (request,) = kafka.requests
    assert request.deadline == datetime.fromtimestamp(T0 + 600, UTC)
    _, arguments = caught.value.trigger.serialize()
    assert arguments["first_submitted_at"] == T0
    assert caught.value.kwargs is not None
    assert caught.value.kwargs["job"]["first_submitted_at"] == T0


def test_retry_that_reattaches_counts_from_the_first_submission(kafka: Kafka) -> None:
    """The job of the second try goes on, within the time of both."""
    kafka.earlier, kafka.events = FIRST, [said(JobState.ACCEPTED, 310)]
    kafka.now = T0 + 320
    with pytest.raises(TaskDeferred) as caught:
        operator(schedule_to_close_timeout=600).execute(context(3))
    _, arguments = caught.value.trigger.serialize()
    assert (arguments["correlation_id"], arguments["first_submitted_at"]) == (JOB, T0)


OUT_OF_TIME = (
    "not_finished: the job has not finished within 600 s of its task's first submission. "
    "schedule_to_close_timeout bounds the jobs of all tries together, so the task is not retried. "
)
NO_TIME_LEFT = (
    "the job has not finished within 600 s of its task's first submission: "
    "no time is left for another attempt"
)


@pytest.mark.parametrize(
    ("events", "cancelled"),
    [
        ([said(JobState.FAILED, 310)], []),
        ([said(JobState.ACCEPTED, 590)], [(JOB, NO_TIME_LEFT)]),
    ],
)
def test_retry_without_time_left_submits_nothing(
    kafka: Kafka, events: list[ck.Message], cancelled: list[tuple[str, str]]
) -> None:
    """It fails without more retries, and a job that still runs is cancelled."""
    kafka.earlier, kafka.events = FIRST, events
    kafka.now = T0 + 600
    with pytest.raises(KafkaJobTimedOutNonRetryable) as caught:
        operator(schedule_to_close_timeout=600).execute(context(3))
    assert str(caught.value).startswith(OUT_OF_TIME)
    assert caught.value.rule == "not_finished"
    assert kafka.published == []
    assert kafka.cancelled == cancelled


def test_publish_operator_without_time_left_resubmits_nothing(kafka: Kafka) -> None:
    """Its request would be too late for every worker."""
    kafka.earlier, kafka.now = FIRST, T0 + 600
    made = KafkaJobPublishOperator(
        task_id="work",
        job_type="files.audit",
        on_retry="resubmit",
        schedule_to_close_timeout=600,
    )
    with pytest.raises(KafkaJobTimedOutNonRetryable):
        made.execute(context(3))
    assert kafka.published == []


def test_job_that_succeeded_before_the_retry_is_returned_however_late(kafka: Kafka) -> None:
    """The work is done."""
    kafka.earlier, kafka.events = FIRST, [said(JobState.SUCCEEDED, 310)]
    kafka.ended = event(JobState.SUCCEEDED, result=b"7", result_type="application/json")
    kafka.now = T0 + 10_000
    assert operator(schedule_to_close_timeout=600).execute(context(3)) == 7


def test_cleared_task_has_its_whole_time_again(kafka: Kafka) -> None:
    """The jobs of its earlier life do not count."""
    kafka.earlier, kafka.events = FIRST, [said(JobState.FAILED, 310)]
    kafka.now = T0 + 10_000
    with pytest.raises(TaskDeferred) as caught:
        operator(schedule_to_close_timeout=600).execute(context(3, max_tries=5))
    (request,) = kafka.requests
    _, arguments = caught.value.trigger.serialize()
    assert request.deadline == request.created_at + timedelta(seconds=600)
    assert arguments["first_submitted_at"] == request.created_at.timestamp()


def test_only_submissions_of_the_present_life_count(kafka: Kafka) -> None:
    """A retry after a clear counts from the first job after the clear."""
    second = submission(attempt=2, max_tries=5, created_at=int(T0 * 1000) + 300_000)
    kafka.earlier = {OTHER_JOB: submission(), JOB: second}
    with pytest.raises(TaskDeferred) as caught:
        operator(schedule_to_close_timeout=600).execute(context(4, max_tries=5))
    _, arguments = caught.value.trigger.serialize()
    assert arguments["first_submitted_at"] == T0 + 300


def test_job_that_was_cancelled_as_it_ran_has_no_successor_without_time(kafka: Kafka) -> None:
    """Clearing a task while its process runs leaves no trace: it counts as a retry."""
    kafka.ended = event(JobState.CANCELLED)
    kafka.now = T0 + 600
    with pytest.raises(KafkaJobTimedOutNonRetryable):
        operator(schedule_to_close_timeout=600).execute_complete(
            context(2), CANCELLED, job=handle().to_json()
        )
    assert kafka.published == []


CLEARED, BEGAN_AGAIN = "the task was cleared", "the DAG run began again"


@pytest.mark.parametrize("on_retry", ["reattach", "resubmit"])
@pytest.mark.parametrize(
    ("now", "why"),
    [
        pytest.param({"max_tries": 3}, CLEARED, id="a task of a running run"),
        pytest.param({"max_tries": 3, "run_began": T0 + 9}, CLEARED, id="a task of an ended run"),
        pytest.param({"run_began": T0 + 9}, BEGAN_AGAIN, id="a run that was created again"),
        pytest.param({"run_began": T0 - 9}, BEGAN_AGAIN, id="with a clock that was set back"),
    ],
)
def test_clearing_a_task_cancels_its_job_and_submits_another(
    kafka: Kafka, on_retry: str, now: dict[str, Any], why: str, log: Log
) -> None:
    """A task that was cleared has another max_tries, or a run with another start."""
    kafka.earlier = {JOB: submission()}
    job = run(operator(on_retry=on_retry), 2, **now)
    assert job != JOB
    assert kafka.cancelled == [(JOB, f"{why}: another attempt follows")]
    assert only(kafka).attempt == 2
    assert f"Job {JOB} was attempt 1 of this task; {why}" in log.lines


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_clearing_a_task_whose_job_has_ended_cancels_nothing(kafka: Kafka, state: JobState) -> None:
    """Another job is submitted, whatever the first one has brought."""
    kafka.earlier = {JOB: submission()}
    kafka.events = [said(state)]
    assert run(operator(), max_tries=4) != JOB
    assert kafka.cancelled == []


def test_job_of_a_deleted_run_of_the_same_name_is_never_waited_for(kafka: Kafka) -> None:
    """A run is deleted and created again, and its first try dies before it publishes.

    The second try then finds the job of the deleted run, although its tries look the same. That
    run had another start.
    """
    kafka.earlier = {JOB: submission(run_began=int(T0 * 1000) - 1)}
    kafka.events = [said(JobState.SUCCEEDED)]
    assert run(operator()) != JOB
    assert only(kafka).attempt == 2


def test_failed_cancel_does_not_keep_a_try_from_submitting(kafka: Kafka, log: Log) -> None:
    """Brokers that take no CANCEL take no request: the try fails with their words, once more."""
    kafka.earlier = {JOB: submission(max_tries=0)}
    kafka.failure = BrokerUnreachable("no broker answered")
    with pytest.raises(BrokerUnreachable, match="no broker answered"):
        operator().execute(context(2, 1))
    assert f"Job {JOB}: publishing CANCEL failed: no broker answered" in log.lines


CANCELLED = {"state": "CANCELLED", "partition": 2, "offset": 17}


def test_cancelled_job_of_an_earlier_try_gets_a_successor(kafka: Kafka) -> None:
    """A job of an earlier try that ends CANCELLED was cleared as it ran: another is submitted."""
    kafka.ended = event(JobState.CANCELLED)
    with pytest.raises(TaskDeferred) as caught:
        operator().execute_complete(context(2), CANCELLED, job=handle().to_json())
    (request,) = kafka.requests
    assert request.correlation_id != JOB
    assert request.attempt == 2
    assert caught.value.kwargs is not None
    assert caught.value.kwargs["job"]["correlation_id"] == request.correlation_id
    assert kafka.cancelled == []


def test_cancelled_job_of_this_try_fails_the_task_without_retries(kafka: Kafka) -> None:
    """A job of this try that somebody cancelled fails the task, without retries."""
    kafka.ended = event(JobState.CANCELLED, message="by alice")
    with pytest.raises(KafkaJobCancelled, match="by alice") as caught:
        operator().execute_complete(context(2), CANCELLED, handle(try_number=2).to_json())
    assert isinstance(caught.value, AirflowFailException)
    assert kafka.published == []


@pytest.mark.parametrize("try_number", [1, 2])
def test_job_that_was_cancelled_by_a_kill_is_retried(kafka: Kafka, try_number: int) -> None:
    """A worker that is shut down cancels its job, this try's or not, and the retries apply.

    It submits no other one: nobody would wait for that.
    """
    kafka.ended = event(JobState.CANCELLED)
    made = operator()
    made.on_kill()
    with pytest.raises(KafkaJobKilled) as caught:
        made.execute_complete(context(2), CANCELLED, handle(try_number=try_number).to_json())
    assert isinstance(caught.value, AirflowException)
    assert not isinstance(caught.value, AirflowFailException)
    assert kafka.published == []


def test_kill_between_publish_and_deferral_cancels_the_job(kafka: Kafka) -> None:
    """A process that is told to end cancels the job that it has published."""
    made = operator()
    job = run(made, try_number=1)
    made.on_kill()
    assert kafka.cancelled == [(job, "the task was killed")]


def test_kill_during_the_publish_cancels_the_job(kafka: Kafka) -> None:
    """The job is cancelled, too, when it may not have been published yet: CANCEL may come first."""
    made = operator()
    kafka.failure = BrokerUnreachable("no broker answered")
    with pytest.raises(BrokerUnreachable):
        made.execute(context())
    kafka.failure = None
    made.on_kill()
    assert kafka.cancelled == [(made.in_flight, "the task was killed")]


@pytest.mark.parametrize("started", [True, False])
def test_kill_without_a_job_or_without_cancel_on_kill_cancels_nothing(
    kafka: Kafka, started: bool
) -> None:
    """Nothing is cancelled where nothing was submitted, or where the author does not want it."""
    made = operator(cancel_on_kill=not started)
    if started:
        run(made, try_number=1)
    made.on_kill()
    assert kafka.cancelled == []


def test_publish_operator_keeps_its_job_even_a_failed_one(kafka: Kafka) -> None:
    """A retry of the publish operator gives the handle of the same job, even a failed one."""
    kafka.earlier = {JOB: submission()}
    kafka.events = [said(JobState.FAILED)]
    kafka.now = T0 + 10_000_000
    made = KafkaJobPublishOperator(task_id="work", job_type="files.audit")
    assert made.execute(context(2)) == handle(first_submitted_at=T0).to_json()
    assert kafka.published == []


@pytest.mark.parametrize("state", ["failed", "success", "restarting"])
def test_task_that_was_ended_before_its_deferral_cancels_its_job(kafka: Kafka, state: str) -> None:
    """A task that a person ended while it published cannot defer: its job is cancelled."""
    kafka.state = state
    with pytest.raises(KafkaJobKilled) as killed:
        operator().execute(context())
    words = "the task was marked or cleared before it could defer"
    assert str(killed.value) == words
    (request,) = kafka.requests
    assert kafka.cancelled == [(request.correlation_id, "the task was killed")]
