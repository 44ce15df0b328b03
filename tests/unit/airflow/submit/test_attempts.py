"""What a try does about the job of the one before: retries, clears, crashes."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from kafka_bridge.airflow import KafkaJobOperator, KafkaJobPublishOperator
from kafka_bridge.airflow.exceptions import KafkaJobCancelled, KafkaJobKilled
from kafka_bridge.airflow.submit.stored_job import StoredJob, load, save
from kafka_bridge.kafka.lookups.job_lookup import JobLookup, TerminalEvent
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordLocation
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing.fakes import FakeTaskState

from ..samples import JOB, TOPIC, context, event, handle, stored
from ..stand_ins import Kafka, Log

PLACE = RecordLocation(TOPIC, 2, 17)


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator."""
    return KafkaJobOperator(**{"task_id": "work", "job_type": "files.audit", **arguments})


def run(
    store: FakeTaskState, made: KafkaJobOperator, try_number: int = 2, max_tries: int = 2
) -> str:
    """Execute a try; return the id of the job that it waits for."""
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context(store, try_number, max_tries))
    _, arguments = caught.value.trigger.serialize()
    return str(arguments["correlation_id"])


def ended(state: JobState) -> JobLookup:
    """Return the trace of a job that has ended."""
    return JobLookup(published=True, end=TerminalEvent(state, PLACE))


def current(store: FakeTaskState) -> StoredJob:
    """Return the job that is stored."""
    job = load(store)
    assert job is not None
    return job


def test_first_try_submits_a_job(kafka: Kafka, store: FakeTaskState) -> None:
    """Nothing is known of earlier jobs: nobody looks for one, none is cancelled."""
    job = run(store, operator(), try_number=1)
    assert [each.correlation_id for each in kafka.requests] == [job]
    assert (current(store).attempt, current(store).try_number) == (1, 1)
    assert kafka.looked_for == []
    assert kafka.cancelled == []


def test_retry_reattaches_to_a_running_job(kafka: Kafka, store: FakeTaskState, log: Log) -> None:
    """The job is waited for again, from its own start offsets: nothing is published."""
    save(store, stored())
    kafka.trace = JobLookup(published=True)
    assert run(store, operator()) == JOB
    assert kafka.published == []
    assert kafka.cancelled == []
    assert current(store) == stored()
    assert f"Reattached to job {JOB} of an earlier try" in log.lines


def test_retry_looks_the_job_up_from_the_stored_offsets(kafka: Kafka, store: FakeTaskState) -> None:
    """Both topics are searched for the job from where they ended before it was published."""
    save(store, stored(request_topic="q", response_topic="a"))
    kafka.trace = JobLookup(published=True)
    run(store, operator(broker_timeout=12))
    ((job, requests, responses, timeout),) = kafka.looked_for
    assert (job, timeout) == (JOB, 12.0)
    assert (requests.topic, requests.offsets) == ("q", [3, 0])
    assert (responses.topic, responses.offsets) == ("a", [4, 5, 6])


def test_retry_publishes_a_stored_request_that_is_not_in_kafka(
    kafka: Kafka, store: FakeTaskState
) -> None:
    """A job that is stored and not in Kafka is published as it was: same id, same times."""
    save(store, stored(attempt=3, request_topic="q"))
    kafka.trace = JobLookup(published=False)
    made = operator(schedule_to_start_timeout=60, start_to_close_timeout=30)
    assert run(store, made) == JOB
    ((topic, key, _, _),) = kafka.published
    (request,) = kafka.requests
    assert (topic, key) == ("q", JOB.encode())
    assert (request.correlation_id, request.attempt) == (JOB, 3)
    assert request.created_at == stored().created
    assert request.expires_at is not None
    assert request.deadline is not None
    assert (request.expires_at - request.created_at).total_seconds() == 60
    assert (request.deadline - request.created_at).total_seconds() == 90
    assert current(store) == stored(attempt=3, request_topic="q")


def test_retry_returns_the_result_of_a_job_that_has_succeeded(
    kafka: Kafka, store: FakeTaskState
) -> None:
    """The result that nobody fetched is the task's, at once."""
    save(store, stored())
    kafka.trace = ended(JobState.SUCCEEDED)
    kafka.ended = event(JobState.SUCCEEDED, result=b"7", result_type="application/json")
    assert operator().execute(context(store, 2)) == 7
    assert kafka.published == []


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_retry_submits_another_job_after_a_failed_one(
    kafka: Kafka, store: FakeTaskState, state: JobState
) -> None:
    """Another job is submitted; the old one is known to have ended and needs no CANCEL."""
    save(store, stored())
    kafka.trace = ended(state)
    job = run(store, operator())
    assert job != JOB
    assert kafka.requests[0].attempt == 2
    assert kafka.cancelled == []
    assert (current(store).correlation_id, current(store).attempt) == (job, 2)


@pytest.mark.parametrize(
    ("outcome", "cancelled"),
    [("FAILED", False), ("CANCELLED", False), ("worker_lost", True), ("not_started", True)],
)
def test_retry_submits_another_job_after_a_failed_try(
    kafka: Kafka, store: FakeTaskState, outcome: str, cancelled: bool
) -> None:
    """Another job is submitted without a search; one that may be alive is cancelled before."""
    save(store, stored(outcome=outcome))
    job = run(store, operator())
    assert job != JOB
    assert current(store).outcome is None
    reason = f"it ended as {outcome}: another attempt follows"
    assert kafka.cancelled == ([(JOB, reason)] if cancelled else [])
    if cancelled:
        assert kafka.journal.index("cancelled") < kafka.journal.index("published")


def test_resubmit_cancels_the_job_and_submits_another(kafka: Kafka, store: FakeTaskState) -> None:
    """With on_retry="resubmit" a retry cancels the job, whatever it does, and submits another."""
    save(store, stored())
    job = run(store, operator(on_retry="resubmit"))
    assert job != JOB
    assert kafka.cancelled == [(JOB, "on_retry is 'resubmit': another attempt follows")]
    assert kafka.requests[0].attempt == 2


@pytest.mark.parametrize("on_retry", ["reattach", "resubmit"])
def test_clearing_a_task_cancels_its_job_and_submits_another(
    kafka: Kafka, store: FakeTaskState, on_retry: str, log: Log
) -> None:
    """A changed max_tries is a clear: the old job is cancelled, and another is submitted."""
    save(store, stored(max_tries=0))
    job = run(store, operator(on_retry=on_retry), try_number=2, max_tries=1)
    assert job != JOB
    assert kafka.cancelled == [(JOB, "the task was cleared: another attempt follows")]
    assert (current(store).attempt, current(store).max_tries) == (2, 1)
    assert f"Job {JOB} was attempt 1 of this task; the task was cleared" in log.lines


def test_failed_cancel_does_not_keep_a_try_from_submitting(
    kafka: Kafka, store: FakeTaskState, log: Log
) -> None:
    """Brokers that take no CANCEL take no request: the try fails with their words, once more."""
    save(store, stored(max_tries=0))
    kafka.failure = BrokerUnreachable("no broker answered")
    with pytest.raises(BrokerUnreachable, match="no broker answered"):
        operator().execute(context(store, 2, 1))
    assert f"Job {JOB}: publishing CANCEL failed: no broker answered" in log.lines


CANCELLED = {"state": "CANCELLED", "partition": 2, "offset": 17}


def test_cancelled_job_of_an_earlier_try_gets_a_successor(
    kafka: Kafka, store: FakeTaskState
) -> None:
    """A job of an earlier try that ends CANCELLED was cleared as it ran: another is submitted."""
    save(store, stored())
    kafka.ended = event(JobState.CANCELLED)
    with pytest.raises(TaskDeferred) as caught:
        operator().execute_complete(context(store, 2), CANCELLED, job=handle().to_json())
    (request,) = kafka.requests
    assert request.correlation_id != JOB
    assert request.attempt == 2
    assert caught.value.kwargs is not None
    assert caught.value.kwargs["job"]["correlation_id"] == request.correlation_id
    assert kafka.cancelled == []


def test_cancelled_job_of_this_try_fails_the_task_without_retries(
    kafka: Kafka, store: FakeTaskState
) -> None:
    """A job of this try that somebody cancelled fails the task, without retries."""
    save(store, stored(try_number=2))
    kafka.ended = event(JobState.CANCELLED, message="by alice")
    with pytest.raises(KafkaJobCancelled, match="by alice") as caught:
        operator().execute_complete(context(store, 2), CANCELLED, job=handle().to_json())
    assert isinstance(caught.value, AirflowFailException)
    assert kafka.published == []


@pytest.mark.parametrize("try_number", [1, 2])
def test_job_that_was_cancelled_by_a_kill_is_retried(
    kafka: Kafka, store: FakeTaskState, try_number: int
) -> None:
    """A worker that is shut down cancels its job, this try's or not, and the retries apply.

    It submits no other one: nobody would wait for that.
    """
    save(store, stored(try_number=try_number))
    kafka.ended = event(JobState.CANCELLED)
    made = operator()
    made.on_kill()
    with pytest.raises(KafkaJobKilled) as caught:
        made.execute_complete(context(store, 2), CANCELLED, job=handle().to_json())
    assert isinstance(caught.value, AirflowException)
    assert not isinstance(caught.value, AirflowFailException)
    assert kafka.published == []
    assert current(store).outcome == "CANCELLED"


def test_kill_between_publish_and_deferral_cancels_the_job(
    kafka: Kafka, store: FakeTaskState
) -> None:
    """A process that is told to end cancels the job that it has published."""
    made = operator()
    job = run(store, made, try_number=1)
    made.on_kill()
    assert kafka.cancelled == [(job, "the task was killed")]


def test_kill_during_the_publish_cancels_the_job(kafka: Kafka, store: FakeTaskState) -> None:
    """The job is cancelled, too, when it may not have been published yet: CANCEL may come first."""
    made = operator()
    kafka.failure = BrokerUnreachable("no broker answered")
    with pytest.raises(BrokerUnreachable):
        made.execute(context(store))
    kafka.failure = None
    made.on_kill()
    assert kafka.cancelled == [(current(store).correlation_id, "the task was killed")]


@pytest.mark.parametrize("started", [True, False])
def test_kill_without_a_job_or_without_cancel_on_kill_cancels_nothing(
    kafka: Kafka, store: FakeTaskState, started: bool
) -> None:
    """Nothing is cancelled where nothing was submitted, or where the author does not want it."""
    made = operator(cancel_on_kill=not started)
    if started:
        run(store, made, try_number=1)
    made.on_kill()
    assert kafka.cancelled == []


def test_publish_operator_keeps_its_job_even_a_failed_one(
    kafka: Kafka, store: FakeTaskState
) -> None:
    """A retry of the publish operator gives the handle of the same job, even a failed one."""
    save(store, stored())
    kafka.trace = ended(JobState.FAILED)
    made = KafkaJobPublishOperator(task_id="work", job_type="files.audit")
    assert made.execute(context(store, 2)) == handle().to_json()
    assert kafka.published == []


@pytest.mark.parametrize("state", ["failed", "success", "restarting"])
def test_task_that_was_ended_before_its_deferral_cancels_its_job(
    kafka: Kafka, store: FakeTaskState, state: str
) -> None:
    """A task that a person ended while it published cannot defer: its job is cancelled."""
    kafka.state = state
    with pytest.raises(KafkaJobKilled) as killed:
        operator().execute(context(store))
    words = "the task was marked or cleared before it could defer"
    assert str(killed.value) == words
    assert kafka.cancelled == [(current(store).correlation_id, "the task was killed")]
