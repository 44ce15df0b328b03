"""What an operator makes of the end of its job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time import xcom

from kafka_bridge.airflow import KafkaJobOperator
from kafka_bridge.airflow.compat import AirflowException, AirflowFailException
from kafka_bridge.airflow.exceptions import (
    KafkaJobCancelled,
    KafkaJobFailed,
    KafkaJobFailedNonRetryable,
    KafkaJobTimedOut,
    KafkaJobTimedOutNonRetryable,
    KafkaJobWaitFailed,
    ResultNotStorable,
)
from kafka_bridge.airflow.submit import completion
from kafka_bridge.kafka.admin.diagnosis import QueueReport
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol import errors
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import JobFailed, RecordLocation
from kafka_bridge.protocol.messages import JobFailure, JobState, StatusEvent

from .samples import JOB, OTHER_JOB, T0, TOPIC, context, event, handle, submission
from .stand_ins import Kafka, Log

ENDED = {"state": "SUCCEEDED", "partition": 2, "offset": 17}
Complete = Callable[..., Any]


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator."""
    return KafkaJobOperator(**{"task_id": "work", "job_type": "files.audit", **arguments})


@pytest.fixture
def complete(kafka: Kafka) -> Complete:
    """Give a function that resumes the task with the record that is said to lie in Kafka."""

    def complete(ended: StatusEvent, **arguments: Any) -> Any:
        kafka.ended = ended
        return operator(**arguments).execute_complete(context(), ENDED, job=handle().to_json())

    return complete


RESULTS: list[tuple[bytes | None, str | None, Any]] = [
    (None, None, None),
    (b'{"files":3}', "application/json", {"files": 3}),
    (b"null", "application/json", None),
    (b"[1]", "application/vnd.example+json", [1]),
    ("é".encode(), "text/plain", "é"),
    (b"\x00\xff", "application/octet-stream", "AP8="),
    (b"", "image/png", ""),
]


@pytest.mark.parametrize(("result", "media_type", "value"), RESULTS)
def test_result_is_decoded_by_its_media_type(
    complete: Complete, result: bytes, media_type: str, value: Any
) -> None:
    """The result is the task's: JSON as its value, text as text, other bytes in base64."""
    ended = event(JobState.SUCCEEDED, result=result, result_type=media_type)
    assert complete(ended) == value


@pytest.mark.parametrize(
    ("result", "media_type"),
    [(b"{", "application/json"), (b"NaN", "application/json"), (b"\xff", "text/plain")],
)
def test_result_that_does_not_match_its_media_type_fails_without_retries(
    complete: Complete, result: bytes, media_type: str
) -> None:
    """The error says which record is wrong, and how: the worker broke the protocol."""
    with pytest.raises(errors.Undecodable) as caught:
        complete(event(JobState.SUCCEEDED, result=result, result_type=media_type))
    words = f"{TOPIC}[2]@17: the result is not valid {media_type}: "
    assert str(caught.value).startswith(words)
    assert isinstance(caught.value, AirflowFailException)  # a retry would read the same record


@pytest.mark.parametrize(("state", "retried"), [("SUCCEEDED", False), ("FAILED", True)])
def test_damaged_terminal_event_is_retried_only_if_the_job_did_not_succeed(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, state: str, retried: bool
) -> None:
    """A retry gets another job where this one has failed, and the same record where it has not."""
    value = encode(event(JobState(state), message="x"))[:-3]
    damaged = Record(RecordLocation(TOPIC, 2, 17), JOB.encode(), value, [], 0)
    monkeypatch.setattr(completion, "read_record", lambda *_: damaged)
    with pytest.raises(errors.Undecodable, match="damaged Avro body") as caught:
        operator().execute_complete(context(), {**ENDED, "state": state}, job=handle().to_json())
    assert isinstance(caught.value, AirflowFailException) != retried


def succeeded(result: bytes) -> StatusEvent:
    """Return the end of a job with this JSON as its result."""
    return event(JobState.SUCCEEDED, result=result, result_type="application/json")


NOT_STORABLE: list[tuple[bytes, str]] = [
    (b'{"items":[0,1,2,{"name":"a\\u0000"}]}', "result.items[3].name: contains NUL. "),
    (
        b'{"id":18446744073709551617}',
        "result.id: is an integer of 65 bits, and at most 64 are possible. ",
    ),
    (b'"\\ud800"', r"result: contains '\ud800', a lone surrogate (half of a character). "),
    (b'{"x":1e400}', "result.x: is inf, which is not a number in JSON. "),
    (b'{"__classname__":1}', "result: has the key '__classname__', which Airflow reserves"),
    (b"[" * 300 + b"]" * 300, "is nested too deep: at most 200 levels are possible. "),
    (b"[" * 900 + b"]" * 900, "is nested too deep: at most 200 levels are possible. "),
    (b"[" * 10**5 + b"]" * 10**5, "result: is nested too deep: at most 200 levels are possible. "),
]


@pytest.mark.parametrize(("result", "words"), NOT_STORABLE)
def test_result_that_airflow_cannot_store_fails_without_retries(
    complete: Complete, result: bytes, words: str
) -> None:
    """One error says what cannot be stored, where, and what to do. No retry would change it."""
    with pytest.raises(ResultNotStorable) as caught:
        complete(succeeded(result))
    text = str(caught.value)
    assert text.startswith("the job succeeded, but Airflow cannot store its result: result")
    assert words in text
    assert text.endswith(
        "Let a result_handler turn it into a value that can be stored, or let the service store "
        "such data elsewhere and return its address"
    )
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("arguments", [{"do_xcom_push": False}, {"result_handler": len}])
def test_result_that_is_not_stored_is_not_checked(
    complete: Complete, arguments: dict[str, Any]
) -> None:
    """What does not become an XCom may be anything."""
    complete(succeeded(b'["\\u0000"]'), **arguments)


def test_return_value_of_a_result_handler_is_checked(complete: Complete) -> None:
    """A handler's value is checked as a result is."""
    with pytest.raises(ResultNotStorable, match=r"what result_handler returned\[0\]: contains NUL"):
        complete(succeeded(b"1"), result_handler=lambda _: ["\0"])


def test_custom_xcom_backend_gets_any_result(
    complete: Complete, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend of the deployment's own may store what the database cannot."""

    class Backend(BaseXCom):
        @staticmethod
        def serialize_value(value: Any, **_: Any) -> str:
            return repr(value)

    monkeypatch.setattr(xcom, "XCom", Backend)
    assert complete(succeeded(b'"\\u0000"')) == "\0"


def test_keys_of_multiple_outputs_must_be_able_to_name_xcoms(complete: Complete) -> None:
    """With multiple_outputs, a worker's key names an XCom: it must not lead to another task's."""
    with pytest.raises(ResultNotStorable, match=r"has the key '\.\./x', which cannot name an XCom"):
        complete(succeeded(b'{"../x":1}'), multiple_outputs=True)
    assert complete(succeeded(b'{"x":1}'), multiple_outputs=True) == {"x": 1}


def test_result_handler_makes_the_xcom(complete: Complete) -> None:
    """What the handler makes of the result is the task's XCom."""
    ended = event(JobState.SUCCEEDED, result=b'{"files":3}', result_type="application/json")
    assert complete(ended, result_handler=lambda result: result["files"] + 1) == 4


def test_error_of_a_result_handler_does_not_run_the_job_again(complete: Complete) -> None:
    """Its error is the task's, and the job counts as done: a retry does not run it again."""
    ended = event(JobState.SUCCEEDED)
    with pytest.raises(ZeroDivisionError):
        complete(ended, result_handler=lambda _: 1 / 0)


def failure(*, retryable: bool, details: str | None = None) -> StatusEvent:
    """Return the end of a job that failed."""
    error = JobFailure("disk_full", "No space left", details, retryable=retryable)
    return event(JobState.FAILED, error=error)


ENDS: list[tuple[StatusEvent, type[errors.JobError], bool, str]] = [
    (failure(retryable=True), KafkaJobFailed, True, "disk_full: No space left"),
    (failure(retryable=False), KafkaJobFailedNonRetryable, False, "disk_full: No space left"),
    (event(JobState.FAILED), KafkaJobFailed, True, "FAILED: the worker gave no reason"),
    (event(JobState.FAILED, message="too hot"), KafkaJobFailed, True, "FAILED: too hot"),
    (event(JobState.CANCELLED), KafkaJobCancelled, False, "the job was cancelled"),
    (event(JobState.CANCELLED, message="by alice"), KafkaJobCancelled, False, "by alice"),
]


@pytest.mark.parametrize(("ended", "kind", "retries", "words"), ENDS)
def test_job_that_did_not_succeed_raises_an_error_that_airflow_retries_or_not(
    complete: Complete,
    ended: StatusEvent,
    kind: type[errors.JobError],
    retries: bool,
    words: str,
) -> None:
    """The task fails with the worker's words; it is retried only where that may help.

    Airflow retries whatever is an exception of its own but no AirflowFailException.
    """
    with pytest.raises(kind) as caught:
        complete(ended)
    assert type(caught.value) is kind
    assert str(caught.value) == words
    assert isinstance(caught.value, AirflowException)
    assert isinstance(caught.value, AirflowFailException) == (not retries)
    assert caught.value.retryable == retries


def test_error_has_the_workers_type_message_and_details(complete: Complete) -> None:
    """Type, message and details can be told apart by who handles the error."""
    with pytest.raises(errors.JobFailed) as caught:
        complete(failure(retryable=True, details="Traceback …"))
    error = caught.value
    facts = (error.error_type, error.error_message, error.details, error.retryable)
    assert facts == ("disk_full", "No space left", "Traceback …", True)


def test_details_of_an_error_are_logged(complete: Complete, log: Log) -> None:
    """The worker's traceback stands in the task's log."""
    with pytest.raises(KafkaJobFailed):
        complete(failure(retryable=True, details="Traceback …"))
    assert log.lines == [
        f"Job {JOB}: FAILED: disk_full: No space left",
        "The worker's own details:\nTraceback …",
    ]


def wait_failed(error: str, **arguments: Any) -> Exception:
    """Return what the task raises when the wait for its job has failed."""
    with pytest.raises(AirflowException) as caught:
        operator(**arguments).execute_complete(
            context(), {"error": error, "message": "in words"}, job=handle().to_json()
        )
    return caught.value


TIME_OUTS = {
    "not_started": (
        "not_started: in words. Topic 'jobs.requests' exists, but no consumer group reads it. "
        "Start the service's workers, or correct the name of the topic."
    ),
    "worker_lost": (
        "worker_lost: in words. Look at the logs of the service's workers. A live worker publishes "
        "at least every heartbeat_interval. After the session timeout (30 s by default), Kafka "
        "gives the jobs of a dead worker to another worker of its group. heartbeat_timeout must be "
        "well above both."
    ),
    "deadline_exceeded": (
        "deadline_exceeded: in words. The progress lines above show how far the work had come. "
        "To allow more time, increase start_to_close_timeout."
    ),
}


@pytest.mark.parametrize("error", TIME_OUTS)
def test_timeout_fails_the_task_with_advice_and_cancels_the_job(kafka: Kafka, error: str) -> None:
    """Each says what happened and what to do; the job is cancelled, and a retry gets another."""
    raised = wait_failed(error)
    assert type(raised) is KafkaJobTimedOut
    assert str(raised) == TIME_OUTS[error]
    assert not isinstance(raised, AirflowFailException)
    assert kafka.cancelled == [(JOB, f"{error}: in words")]
    assert ("diagnosed jobs.requests" in kafka.journal) == (error == "not_started")


def test_job_that_has_used_all_its_time_fails_without_retries(kafka: Kafka) -> None:
    """A retry would end at once. Whoever catches timeouts catches this one, too."""
    raised = wait_failed("not_finished")
    assert type(raised) is KafkaJobTimedOutNonRetryable
    assert isinstance(raised, KafkaJobTimedOut)
    assert isinstance(raised, AirflowFailException)
    assert (raised.rule, raised.retryable) == ("not_finished", False)
    assert str(raised).startswith(
        "not_finished: in words. schedule_to_close_timeout bounds the jobs of all tries together, "
    )
    assert kafka.cancelled == [(JOB, "not_finished: in words")]


@pytest.mark.parametrize("now", [99, 100])
def test_failure_is_retried_only_while_time_is_left(
    complete: Complete, kafka: Kafka, log: Log, now: int
) -> None:
    """The worker may stop the job before the trigger does: both have the same deadline."""
    kafka.now = T0 + now
    with pytest.raises(JobFailed, match="disk_full: No space left") as caught:
        complete(failure(retryable=True), schedule_to_close_timeout=100)
    kind = KafkaJobFailed if now < 100 else KafkaJobFailedNonRetryable
    assert type(caught.value) is kind
    line = f"Job {JOB} is not retried: schedule_to_close_timeout has passed"
    assert (line in log.lines) == (now >= 100)


@pytest.mark.parametrize("now", [99, 100])
def test_timeout_is_retried_only_while_time_is_left(kafka: Kafka, now: int) -> None:
    """Whichever timeout it is."""
    kafka.now = T0 + now
    raised = wait_failed("worker_lost", schedule_to_close_timeout=100)
    assert isinstance(raised, KafkaJobTimedOut)
    assert raised.rule == "worker_lost"
    assert isinstance(raised, AirflowFailException) == (now >= 100)


def test_result_that_comes_too_late_is_the_tasks_result(complete: Complete, kafka: Kafka) -> None:
    """The work is done: nobody gains from losing it."""
    kafka.now = T0 + 1000
    ended = event(JobState.SUCCEEDED, result=b"7", result_type="application/json")
    assert complete(ended, schedule_to_close_timeout=100) == 7


def test_job_that_did_not_start_is_diagnosed(kafka: Kafka) -> None:
    """A job that nobody took says that its topic is gone, where it is."""
    kafka.report = QueueReport("jobs.requests", exists=False)
    assert "Topic 'jobs.requests' does not exist any more" in str(wait_failed("not_started"))


def test_timeout_cancels_nothing_without_cancel_on_kill(kafka: Kafka) -> None:
    """Who does not want jobs cancelled gets none cancelled, and the same error."""
    raised = wait_failed("worker_lost", cancel_on_kill=False)
    assert str(raised) == TIME_OUTS["worker_lost"]
    assert kafka.cancelled == []


def test_failed_cancel_after_a_timeout_is_logged(kafka: Kafka, log: Log) -> None:
    """The timeout is the task's error; that the job could not be cancelled stands in its log."""
    kafka.failure = errors.BrokerUnreachable("no broker answered")
    assert str(wait_failed("worker_lost")) == TIME_OUTS["worker_lost"]
    assert f"Job {JOB}: publishing CANCEL failed: no broker answered" in log.lines


@pytest.mark.parametrize("error", ["AccessDenied", "ConfigurationError", "ReaderClosed"])
def test_failed_wait_is_retried(kafka: Kafka, error: str) -> None:
    """A job whose wait failed may be alive: it is left alone, and a retry waits for it again."""
    raised = wait_failed(error)
    assert type(raised) is KafkaJobWaitFailed
    assert str(raised) == f"{error}: in words"
    assert kafka.cancelled == []


def test_record_of_another_job_is_not_taken_for_the_result(complete: Complete) -> None:
    """A topic made anew holds other jobs' records at the old places: none is taken for ours."""
    with pytest.raises(errors.RecordGone) as caught:
        complete(event(JobState.SUCCEEDED, correlation_id=OTHER_JOB))
    assert str(caught.value) == (
        f"record {TOPIC}[2]@17 belongs to another job ({OTHER_JOB}): "
        "was the topic deleted and created again?"
    )


def test_task_resumed_without_its_handle_looks_it_up(kafka: Kafka) -> None:
    """`dag.test()` drops the deferral's arguments: the job is then the last one in Kafka."""
    kafka.earlier = {OTHER_JOB: submission(), JOB: submission()}
    kafka.ended = event(JobState.SUCCEEDED, result=b"1", result_type="application/json")
    assert operator().execute_complete(context(), ENDED) == 1


def test_resumed_task_without_a_job_is_an_error(kafka: Kafka) -> None:
    """A task that is resumed and never submitted a job says so."""
    with pytest.raises(errors.ConfigurationError) as caught:
        operator().execute_complete(context(), ENDED)
    assert str(caught.value) == (
        "topic 'jobs.requests' has no request of this resumed task: clear the task to submit "
        "another job"
    )
