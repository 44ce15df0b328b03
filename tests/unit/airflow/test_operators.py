"""The operator without brokers: what it takes, how it defers, what it makes of the end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from kafka_bridge.airflow import KafkaJobOperator, outcomes, submission
from kafka_bridge.airflow.exceptions import (
    KafkaJobCancelled,
    KafkaJobFailed,
    KafkaJobFailedForGood,
    KafkaJobTimedOut,
    KafkaJobWaitFailed,
)
from kafka_bridge.airflow.operators import SCHEDULER_SECONDS
from kafka_bridge.airflow.submission import STORE_KEY, Submission
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol import errors
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobFailure, JobRequest, JobState, StatusEvent

from .samples import JOB, OTHER_JOB, TOPIC, Store, context, event, record

CONNECTION = {"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:9"}}
ENDED = {"state": "SUCCEEDED", "partition": 2, "offset": 17}


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow have the default connection, and operators be executed outside a task."""
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps(CONNECTION))


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator."""
    return KafkaJobOperator(**{"task_id": "work", "job_type": "files.audit", **arguments})


# What its author may say.

NO_DURATION = "must be a timedelta or seconds, not"
TOO_SHORT = "must be longer than nothing, not"
DURATIONS = [
    "heartbeat_interval",
    "heartbeat_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "delivery_timeout",
    "progress_log_interval",
]
BAD_DURATIONS: list[tuple[Any, str]] = [
    (0, f"{TOO_SHORT} 0 s"),
    (-1.5, f"{TOO_SHORT} -1.5 s"),
    (timedelta(minutes=-1), f"{TOO_SHORT} -60 s"),
    (math.nan, f"{TOO_SHORT} nan s"),
    (math.inf, "must be 100 years at most, not inf s"),
    (timedelta.max, "must be 100 years at most, not 8.64e+13 s"),
    ("soon", f"{NO_DURATION} 'soon'"),
    ([5], f"{NO_DURATION} [5]"),
]
BAD_FORMS: list[tuple[dict[str, Any], str]] = [
    ({"encoding": "xml"}, "encoding must be 'avro' or 'json', not 'xml'"),
    ({"encoding": "AVRO"}, "encoding must be 'avro' or 'json', not 'AVRO'"),
    ({"encoding": "registry"}, "encoding must be 'avro' or 'json', not 'registry'"),
    ({"encoding": None}, "encoding must be 'avro' or 'json', not None"),
    ({"heartbeat_interval": None}, f"heartbeat_interval {NO_DURATION} None"),
    (
        {"heartbeat_interval": 90},
        "heartbeat_timeout (90 s) must be longer than heartbeat_interval (90 s)",
    ),
    (
        {"heartbeat_interval": timedelta(minutes=2), "heartbeat_timeout": 0.5},
        "heartbeat_timeout (0.5 s) must be longer than heartbeat_interval (120 s)",
    ),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_FORMS)
def test_bad_form(arguments: dict[str, Any], words: str) -> None:
    """What makes no sense is refused when the DAG is parsed, in words that name the argument."""
    with pytest.raises(errors.ConfigurationError) as caught:
        operator(**arguments)
    assert str(caught.value) == words


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(("value", "words"), BAD_DURATIONS)
def test_bad_duration(name: str, value: Any, words: str) -> None:
    """Every duration is checked, and the error names it and says what was given."""
    with pytest.raises(errors.ConfigurationError) as caught:
        operator(**{name: value})
    assert str(caught.value) == f"{name} {words}"


@pytest.mark.parametrize("value", [20, 20.0, timedelta(seconds=20)])
def test_durations_are_seconds(value: Any) -> None:
    """Seconds and timedeltas mean the same, everywhere."""
    made = operator(**dict.fromkeys(DURATIONS, value) | {"heartbeat_timeout": timedelta(minutes=1)})
    found = {name: getattr(made, name) for name in DURATIONS}
    assert found == dict.fromkeys(DURATIONS, 20.0) | {"heartbeat_timeout": 60.0}


def test_defaults() -> None:
    """Without a word, a job waits a day for a worker and runs as long as its worker is alive."""
    made = operator()
    assert (made.request_topic, made.response_topic) == ("jobs.requests", TOPIC)
    assert (made.encoding, made.kafka_config_id) == (Encoding.AVRO, "kafka_default")
    assert (made.heartbeat_interval, made.heartbeat_timeout) == (10, 90)
    assert (made.schedule_to_start_timeout, made.start_to_close_timeout) == (86_400, None)


def test_templates() -> None:
    """Job type, payload, deep inside too, and topics are rendered with the run's context."""
    made = operator(
        job_type="{{ name }}.audit",
        payload={"paths": ["{{ name }}/a"], "count": 1},
        request_topic="{{ name }}.requests",
        response_topic="{{ name }}.responses",
        kafka_config_id="{{ name }}",
    )
    made.render_template_fields({"name": "files"})  # type: ignore[typeddict-unknown-key]
    assert made.job_type == "files.audit"
    assert made.payload == {"paths": ["files/a"], "count": 1}
    assert (made.request_topic, made.response_topic) == ("files.requests", "files.responses")
    assert made.kafka_config_id == "{{ name }}"


def test_mapping_over_payloads() -> None:
    """`.partial().expand()` makes one task for each payload, all else shared."""
    with DAG("mapped", schedule=None) as dag:
        KafkaJobOperator.partial(
            task_id="work", job_type="files.audit", heartbeat_timeout=timedelta(minutes=3)
        ).expand(payload=[{"n": 1}, {"n": 2}])
    mapped = dag.get_task("work")
    assert mapped.is_mapped
    first = mapped.unmap({"payload": {"n": 1}})
    assert isinstance(first, KafkaJobOperator)
    assert (first.payload, first.heartbeat_timeout) == ({"n": 1}, 180.0)


def test_mapping_with_an_unknown_argument() -> None:
    """A misspelt argument is refused when the DAG is parsed."""
    with pytest.raises(TypeError, match="hearbeat_timeout"):
        KafkaJobOperator.partial(task_id="work", job_type="files.audit", hearbeat_timeout=1)


# What it sends and how it waits.


class Submitted:
    """Stands in for the way to Kafka, and keeps the request."""

    def __init__(self) -> None:
        self.requests: list[JobRequest] = []
        self.arguments: tuple[Any, ...] = ()

    def submit(
        self, config: KafkaConfig, request: JobRequest, topic: str, *arguments: Any
    ) -> tuple[Submission, errors.RecordLocation]:
        """Take a request."""
        self.requests.append(request)
        self.arguments = (dict(config.settings), topic, *arguments)
        response_topic = request.response_topic
        store = arguments[1]
        store.set(STORE_KEY, {"attempt": request.attempt})
        told = Submission(
            request.correlation_id, request.attempt, topic, response_topic, [0], [4, 5, 6]
        )
        return told, errors.RecordLocation(topic, 1, 17)


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> Submitted:
    """Put the stand-in in the place of the submission."""
    stand_in = Submitted()
    monkeypatch.setattr(submission, "submit", stand_in.submit)
    return stand_in


def deferred(made: KafkaJobOperator, store: Store | None = None) -> TaskDeferred:
    """Execute an operator; return what it defers with."""
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context(store))
    return caught.value


def test_request(submitted: Submitted) -> None:
    """The request says what the author asked for, and which task asks."""
    store = Store()
    deferred(operator(payload={"path": "/data"}, encoding="json", delivery_timeout=12), store)
    (request,) = submitted.requests
    assert submitted.arguments == (
        {"bootstrap.servers": "127.0.0.1:9"},
        "jobs.requests",
        Encoding.JSON,
        store,
        12.0,
    )
    assert (request.job_type, request.payload) == ("files.audit", b'{"path":"/data"}')
    assert request.heartbeat_interval_ms == 10_000
    assert request.expires_at == request.created_at + timedelta(days=1)
    assert request.task is not None
    task = request.task
    assert (task.dag_id, task.run_id, task.task_id) == ("nightly", "r-1", "work")
    assert (task.map_index, task.try_number) == (-1, 2)


def test_each_submission_has_its_own_id_and_number(submitted: Submitted) -> None:
    """A second execution of one task instance is another job, and its attempt is one higher."""
    store = Store()
    deferred(operator(), store)
    deferred(operator(), store)
    first, second = submitted.requests
    assert first.correlation_id != second.correlation_id
    assert (first.attempt, second.attempt) == (1, 2)


@pytest.mark.parametrize(
    ("interval", "milliseconds"), [(0.0001, 1), (0.0019, 1), (1.5, 1500), (60, 60_000)]
)
def test_heartbeat_interval_is_never_none(
    submitted: Submitted, interval: float, milliseconds: int
) -> None:
    """However short, the interval is not 0 on the wire, which would ask for no heartbeats."""
    deferred(operator(heartbeat_interval=interval))
    assert submitted.requests[0].heartbeat_interval_ms == milliseconds


@pytest.mark.parametrize("seconds", [0.0004, 1.2345, 1 / 3])
def test_expiry_is_whole_milliseconds(submitted: Submitted, seconds: float) -> None:
    """Any schedule-to-start time-out gives a request that the protocol allows."""
    deferred(operator(schedule_to_start_timeout=seconds))
    expiry = submitted.requests[0].expires_at
    assert expiry is not None
    assert expiry.microsecond % 1000 == 0


def test_without_a_limit_nothing_expires(submitted: Submitted) -> None:
    """A job that may wait for ever says so."""
    deferred(operator(schedule_to_start_timeout=None))
    assert submitted.requests[0].expires_at is None


def test_trigger(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trigger waits for this job, from where the topic ended, under the author's time-outs.

    It fires no event before the supervisor and the scheduler have seen the task defer.
    """
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "4")
    made = operator(start_to_close_timeout=60, schedule_to_start_timeout=None, heartbeat_timeout=70)
    before = datetime.now(UTC).timestamp()
    told = deferred(made)
    after = datetime.now(UTC).timestamp()
    assert isinstance(told.trigger, KafkaJobTrigger)
    _, arguments = told.trigger.serialize()
    submitted_at, not_before = arguments.pop("submitted_at"), arguments.pop("not_before")
    assert before <= submitted_at <= after
    assert not_before - submitted_at == pytest.approx(4 + SCHEDULER_SECONDS)
    job = submitted.requests[0].correlation_id
    assert arguments == {
        "correlation_id": job,
        "kafka_config_id": "kafka_default",
        "response_topic": TOPIC,
        "start_offsets": [4, 5, 6],
        "schedule_to_start_timeout": None,
        "heartbeat_timeout": 70.0,
        "start_to_close_timeout": 60.0,
        "progress_log_interval": 5.0,
    }
    assert (told.method_name, told.kwargs) == ("execute_complete", {"correlation_id": job})


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"payload": {"x": object()}},
            errors.PayloadNotSerialisable,
            "payload['x'] cannot be written as JSON",
        ),
        (
            {"kafka_config_id": "nowhere"},
            errors.ConfigurationError,
            "Airflow has no usable connection 'nowhere'",
        ),
    ],
)
def test_nothing_goes_out(
    submitted: Submitted, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A payload without a JSON form, or a missing connection, fails the task before it submits."""
    with pytest.raises(error) as caught:
        operator(**arguments).execute(context())
    assert str(caught.value).startswith(words)
    assert submitted.requests == []


# What it makes of the end.

Complete = Callable[..., Any]


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Give a function that resumes the task with the record that is said to lie in Kafka."""

    def complete(ended: StatusEvent, job: str | None = JOB) -> Any:
        def read_record(
            config: KafkaConfig, location: errors.RecordLocation, timeout: float
        ) -> Record:
            assert config.bootstrap_servers == "127.0.0.1:9"
            assert (location, timeout) == (errors.RecordLocation(TOPIC, 2, 17), 30.0)
            return record(ended, location)

        monkeypatch.setattr(outcomes, "read_record", read_record)
        return operator().execute_complete(context(), ENDED, correlation_id=job)

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
def test_result(complete: Complete, result: bytes, media_type: str, value: Any) -> None:
    """The result is the task's: JSON as its value, text as text, other bytes in base64."""
    ended = event(JobState.SUCCEEDED, result=result, result_type=media_type)
    assert complete(ended) == value


@pytest.mark.parametrize(
    ("result", "media_type"),
    [(b"{", "application/json"), (b"NaN", "application/json"), (b"\xff", "text/plain")],
)
def test_result_that_is_not_what_it_says(
    complete: Complete, result: bytes, media_type: str
) -> None:
    """The error says which record is wrong, and how: the worker broke the protocol."""
    with pytest.raises(errors.Undecodable) as caught:
        complete(event(JobState.SUCCEEDED, result=result, result_type=media_type))
    words = f"{TOPIC}[2]@17: the result is not the {media_type} that it is said to be: "
    assert str(caught.value).startswith(words)


def failure(*, retryable: bool, details: str | None = None) -> StatusEvent:
    """Return the end of a job that failed."""
    error = JobFailure("disk_full", "No space left", details, retryable=retryable)
    return event(JobState.FAILED, error=error)


ENDS: list[tuple[StatusEvent, type[errors.JobError], bool, str]] = [
    (failure(retryable=True), KafkaJobFailed, True, "disk_full: No space left"),
    (failure(retryable=False), KafkaJobFailedForGood, False, "disk_full: No space left"),
    (event(JobState.FAILED), KafkaJobFailed, True, "FAILED: the worker gave no reason"),
    (event(JobState.FAILED, message="too hot"), KafkaJobFailed, True, "FAILED: too hot"),
    (event(JobState.CANCELLED), KafkaJobCancelled, False, "the job was cancelled"),
    (event(JobState.CANCELLED, message="by alice"), KafkaJobCancelled, False, "by alice"),
]


@pytest.mark.parametrize(("ended", "kind", "retries", "words"), ENDS)
def test_job_that_did_not_succeed(
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


def test_error_carries_the_workers_own_facts(complete: Complete) -> None:
    """Type, message and details can be told apart by who handles the error."""
    with pytest.raises(errors.JobFailed) as caught:
        complete(failure(retryable=True, details="Traceback …"))
    error = caught.value
    facts = (error.error_type, error.error_message, error.details, error.retryable)
    assert facts == ("disk_full", "No space left", "Traceback …", True)


def test_details_are_logged(complete: Complete, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's traceback stands in the task's log."""
    lines: list[str] = []

    class Log:
        def info(self, words: str, *arguments: object) -> None:
            lines.append(words % arguments)

        error = info

    monkeypatch.setattr(KafkaJobOperator, "log", Log())
    with pytest.raises(KafkaJobFailed):
        complete(failure(retryable=True, details="Traceback …"))
    assert lines == [f"Job {JOB}: FAILED", "The worker's own details:\nTraceback …"]


WAITS: list[tuple[str, type[AirflowException]]] = [
    ("not_started", KafkaJobTimedOut),
    ("worker_lost", KafkaJobTimedOut),
    ("deadline_exceeded", KafkaJobTimedOut),
    ("AccessDenied", KafkaJobWaitFailed),
    ("ConfigurationError", KafkaJobWaitFailed),
    ("ReaderClosed", KafkaJobWaitFailed),
]


@pytest.mark.parametrize(("error", "kind"), WAITS)
def test_wait_that_failed(error: str, kind: type[AirflowException]) -> None:
    """A time-out and a reader that failed are told apart; the task's retries apply to both."""
    with pytest.raises(kind) as caught:
        operator().execute_complete(context(), {"error": error, "message": "in words"}, JOB)
    assert type(caught.value) is kind
    assert str(caught.value) == f"{error}: in words"
    assert not isinstance(caught.value, AirflowFailException)
    assert isinstance(caught.value, errors.JobTimedOut) == (kind is KafkaJobTimedOut)


def test_record_of_another_job(complete: Complete) -> None:
    """A topic made anew holds other jobs' records at the old places: none is taken for ours."""
    other = event(JobState.SUCCEEDED, correlation_id=OTHER_JOB)
    with pytest.raises(errors.RecordGone) as caught:
        complete(other)
    assert str(caught.value) == (
        f"record {TOPIC}[2]@17 belongs to another job ({OTHER_JOB}): "
        "was the topic deleted and made anew?"
    )


def test_resumed_without_keyword_arguments(complete: Complete) -> None:
    """`dag.test()` drops the deferral's arguments: the record is then taken as it is."""
    other = event(JobState.SUCCEEDED, correlation_id=OTHER_JOB)
    assert complete(other, job=None) is None
