"""The batch operator without brokers: its arguments, how it waits, and what it returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import TaskDeferred
from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobBatchTrigger, kafka_access
from kafka_bridge.airflow.batch import completion, submission
from kafka_bridge.airflow.batch.finished_job import FinishedJob
from kafka_bridge.airflow.batch.rounds import Batch, Round
from kafka_bridge.airflow.batch.status import BatchStatus
from kafka_bridge.airflow.compat import AirflowException, AirflowFailException
from kafka_bridge.airflow.exceptions import (
    KafkaBatchFailed,
    KafkaBatchFailedNonRetryable,
    KafkaBatchTimedOut,
    KafkaJobKilled,
    KafkaJobWaitFailed,
)
from kafka_bridge.airflow.resume_delay import LOOP_SECONDS
from kafka_bridge.airflow.submit.earlier import Earlier
from kafka_bridge.kafka.admin.diagnosis import QueueReport
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import (
    BrokerUnreachable,
    ConfigurationError,
    InvalidPayload,
    JobTimedOut,
    PayloadNotSerialisable,
    RecordGone,
    RecordTooLarge,
)
from kafka_bridge.protocol.messages import JobFailure, JobState

from ..samples import JOB, TOPIC, context
from ..stand_ins import Kafka, Log

pytestmark = pytest.mark.usefixtures("kafka")

BATCH = Batch("jobs.requests", TOPIC, [Round(JOB, 1, 3, 1_800_000_000_000, [4, 5, 6])])

WORDS = {"message": "in words"}


def operator(**arguments: Any) -> KafkaJobBatchOperator:
    """Return an operator of three jobs."""
    given = {"task_id": "work", "job_type": "files.audit", "payloads": [0, 1, 2], **arguments}
    return KafkaJobBatchOperator(**given)


# Its arguments.

EITHER = "a batch needs payloads or payloads_file, and not both"
BAD_FORMS: list[tuple[dict[str, Any], str]] = [
    ({"payloads": None}, EITHER),
    ({"payloads_file": "numbers.jsonl"}, EITHER),
    ({"on_failure": "ignore"}, "on_failure must be 'fail_fast' or 'collect', not 'ignore'"),
    ({"max_failures": 1}, "max_failures needs on_failure='collect'"),
    (
        {"on_failure": "collect", "max_failures": -1},
        "max_failures must be 0 or more, not -1",
    ),
    (
        {"start_to_close_timeout": 5},
        "a batch has no start_to_close_timeout: set timeout, for all of its jobs together",
    ),
    (
        {"schedule_to_close_timeout": 5},
        "a batch has no schedule_to_close_timeout: set timeout, for all of its jobs together",
    ),
    ({"payload": 1}, "a batch has no payload: set payloads, with one payload for each job"),
    (
        {"on_retry": "resubmit"},
        "a batch has no on_retry: a retry publishes what is left of it, and a cleared task "
        "submits it again",
    ),
    (
        {"end_from_trigger": True},
        "a batch has no end_from_trigger: a worker must read its results",
    ),
    ({"reply": "polite"}, "reply must be 'events' or 'plain', not 'polite'"),
    (
        {"reply": "plain", "encoding": "avro"},
        "reply='plain' implies encoding='json', not 'avro': "
        "services that send plain replies read only JSON",
    ),
    ({"timeout": 0}, "timeout must be greater than 0 s, not 0 s"),
    (
        {"heartbeat_interval": 90},
        "heartbeat_timeout (90 s) must be longer than heartbeat_interval (90 s)",
    ),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_FORMS)
def test_invalid_arguments_are_refused_when_the_dag_is_parsed(
    arguments: dict[str, Any], words: str
) -> None:
    """The error names the argument."""
    with pytest.raises(ConfigurationError) as caught:
        operator(**arguments)
    assert str(caught.value) == words


def test_payloads_files_and_topics_are_templated() -> None:
    """Payloads, files and topics are rendered with the run's context."""
    made = operator(
        payloads=[{"path": "{{ name }}/a"}],
        results_file="/data/{{ name }}.jsonl",
        request_topic="{{ name }}.requests",
    )
    made.render_template_fields({"name": "files"})  # type: ignore[typeddict-unknown-key]
    assert made.payloads == [{"path": "files/a"}]
    assert (made.results_file, made.request_topic) == ("/data/files.jsonl", "files.requests")


def test_payloads_may_be_the_output_of_another_task() -> None:
    """That task then runs first."""
    with DAG("batch", schedule=None):
        first = KafkaJobBatchOperator(task_id="first", job_type="a", payloads=[1])
        second = KafkaJobBatchOperator(task_id="second", job_type="a", payloads=first.output)
    assert second.upstream_task_ids == {"first"}


# How it waits.


@pytest.fixture
def submitted(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the submission bring a batch of three on its way."""
    monkeypatch.setattr(submission, "submit", lambda *_: BATCH)


def test_one_trigger_waits_for_the_whole_batch(
    submitted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Airflow stores of it is small, whatever the size of the batch."""
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "4")
    with pytest.raises(TaskDeferred) as caught:
        operator(timeout=600, on_failure="collect").execute(context())
    trigger = caught.value.trigger
    assert isinstance(trigger, KafkaJobBatchTrigger)
    path, arguments = trigger.serialize()
    assert path == "kafka_bridge.airflow.batch.trigger.KafkaJobBatchTrigger"
    assert KafkaJobBatchTrigger(**json.loads(json.dumps(arguments))).serialize() == (
        path,
        arguments,
    )
    assert arguments.pop("not_before") > 0
    assert arguments.pop("resume_delay") == 4 + 1 + LOOP_SECONDS
    assert arguments == {
        "batch_id": JOB,
        "count": 3,
        "kafka_config_id": "kafka_default",
        "response_topic": TOPIC,
        "control_topic": "jobs.control",
        "encoding": "avro",
        "start_offsets": [4, 5, 6],
        "submitted_at": 1_800_000_000.0,
        "on_failure": "collect",
        "timeout": 600.0,
        "heartbeat_timeout": 90.0,
        "schedule_to_start_timeout": 86_400.0,
        "cancel_on_kill": True,
        "progress_log_interval": 5.0,
        "reply": "events",
    }
    assert caught.value.method_name == "execute_complete"
    assert caught.value.kwargs == {"batch": json.loads(json.dumps(BATCH.to_json()))}


def test_no_cancel_is_published_for_a_marked_batch_with_plain_replies(submitted: None) -> None:
    """Neither the trigger nor the API server may publish one: the service does not read it."""
    with pytest.raises(TaskDeferred) as caught:
        operator(reply="plain", cancel_on_kill=True).execute(context())
    assert not caught.value.trigger.serialize()[1]["cancel_on_kill"]


def test_killed_process_cancels_the_jobs_it_published(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    """A failure to cancel is logged."""
    told: list[tuple[Any, ...]] = []

    def cancel_all(config: KafkaConfig, topic: str, jobs: list[str], reason: str, **_: Any) -> None:
        told.append((topic, jobs, reason))
        if len(told) > 1:
            raise BrokerUnreachable("no broker answered")

    monkeypatch.setattr(kafka_access, "cancel_all", cancel_all)
    made = operator()
    made.on_kill()
    assert told == []
    made.published = BATCH.last
    made.on_kill()
    made.on_kill()
    assert told == [("jobs.control", BATCH.last.job_ids(), "the task was killed")] * 2
    assert [line for line in log.lines if "jobs" in line] == [
        "3 jobs: CANCEL published: the task was killed",
        "3 jobs: publishing CANCEL failed: no broker answered",
    ]


def test_process_killed_while_publishing_does_not_defer(submitted: None) -> None:
    """It has cancelled its jobs; the retry submits them again."""
    made = operator()
    made.on_kill()
    with pytest.raises(KafkaJobKilled) as caught:
        made.execute(context())
    assert str(caught.value) == "the task was killed while it published its batch"
    assert not isinstance(caught.value, AirflowFailException)


# What it refuses to send.

NOTHING_SENT: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"payloads": [1, 2, 3, {"x": object}]},
        PayloadNotSerialisable,
        "payloads[3]['x'] cannot be written as JSON",
    ),
    (
        {"payloads": [1, "2", "three"], "payload_model": int},
        InvalidPayload,
        "payloads[2] does not match int: payload: Input should be a valid integer",
    ),
    (
        {"payload_model": "Audit"},
        ConfigurationError,
        "payload_model must be a pydantic model, a dataclass or another type that pydantic supports"
        ", not 'Audit'",
    ),
    (
        {"payloads": [b"", b"x" * 1_000_000]},
        RecordTooLarge,
        "payloads[1]: a record of 1,000,",
    ),
    (
        {"payloads": range(10_001)},
        ConfigurationError,
        "the results of 10,001 jobs are too many for an XCom",
    ),
    (
        {"kafka_config_id": "nowhere"},
        ConfigurationError,
        "Airflow has no usable connection 'nowhere'",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "words"), NOTHING_SENT)
def test_invalid_batch_is_refused_before_anything_is_sent(
    kafka: Kafka,
    arguments: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    """What can be known beforehand is known before anything is sent."""
    with pytest.raises(error) as caught:
        operator(**arguments).execute(context())
    assert str(caught.value).startswith(words)
    assert kafka.journal == []


MANY_RESULTS: list[dict[str, Any]] = [
    {"results_file": "results.jsonl"},
    {"do_xcom_push": False},
    {"result_handler": len},
]


@pytest.mark.parametrize("arguments", MANY_RESULTS)
def test_any_number_of_results_may_go_elsewhere_than_to_the_xcom(
    kafka: Kafka, arguments: dict[str, Any]
) -> None:
    """The submission goes on to ask the brokers."""
    made = operator(payloads=range(10_001), broker_timeout=0.2, **arguments)
    with pytest.raises(BrokerUnreachable):
        made.execute(context())


def test_empty_batch_returns_at_once(kafka: Kafka, tmp_path: Path, log: Log) -> None:
    """Without Kafka: an empty list, or an empty file."""
    file = tmp_path / "results.jsonl"
    assert operator(payloads=[]).execute(context()) == []
    assert operator(payloads=[], results_file=str(file)).execute(context()) == {
        "total": 0,
        "succeeded": 0,
        "failed": 0,
        "results_file": str(file),
    }
    assert file.read_bytes() == b""
    assert operator(payloads=[], result_handler=len).execute(context()) == 0
    assert log.lines == ["The batch is empty: nothing is submitted"] * 3
    assert kafka.journal == []


# What it returns or raises.


def resume(
    monkeypatch: pytest.MonkeyPatch,
    ends: list[FinishedJob | None],
    **arguments: Any,
) -> Any:
    """Resume the task of a batch whose jobs came to that."""
    status = BatchStatus(BATCH, ends, [0, 1, 2])
    monkeypatch.setattr(completion, "read_status", lambda *_: status)
    return operator(**arguments).execute_complete(context(), {"total": 3}, BATCH.to_json())


DONE = FinishedJob(JobState.SUCCEEDED, result=1)
FAILED = FinishedJob(
    JobState.FAILED, error=JobFailure("busy", "later", "Traceback …", retryable=True)
)


def test_results_become_the_xcom(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    """The log has the number of jobs in each state."""
    assert resume(monkeypatch, [DONE, DONE, DONE]) == [1, 1, 1]
    assert log.lines == [f"Batch {JOB} of 3 jobs: 3 SUCCEEDED"]
    assert resume(monkeypatch, [DONE, DONE, DONE], do_xcom_push=False) is None


def test_result_handler_makes_the_xcom_of_the_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The handler gets what would be the XCom, and what it returns is the XCom.

    It gets the results however large they are, and where a file has them, the summary.
    """
    large = FinishedJob(JobState.SUCCEEDED, result="x" * 600_000)

    def lengths(results: list[str]) -> list[int]:
        return [len(each) for each in results]

    for pushes in (True, False):
        handled = resume(monkeypatch, [large] * 3, result_handler=lengths, do_xcom_push=pushes)
        assert handled == [600_000] * 3
    file = str(tmp_path / "results.jsonl")
    arguments = {"results_file": file, "result_handler": lambda summary: summary["results_file"]}
    assert resume(monkeypatch, [DONE] * 3, **arguments) == file


def test_failing_result_handler_fails_the_task_but_not_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A retry reads the results again and does not run the jobs again."""

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        resume(monkeypatch, [DONE] * 3, result_handler=fail)


def test_result_handler_is_not_called_for_a_failed_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the results of successful batches only."""
    seen: list[Any] = []
    with pytest.raises(KafkaBatchFailed):
        resume(monkeypatch, [DONE, FAILED, DONE], result_handler=seen.append)
    assert seen == []


def test_rendered_view_and_link_show_the_batch(
    submitted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs, and after it has finished."""
    monkeypatch.setenv(
        "AIRFLOW__KAFKA_BRIDGE__BATCH_URL", "http://ui/{request_topic}?key={batch_id}"
    )
    waiting, resumed = operator(), operator()
    with pytest.raises(TaskDeferred):
        waiting.execute(context())
    status = BatchStatus(BATCH, [DONE, DONE, DONE], [0, 1, 2])
    monkeypatch.setattr(completion, "read_status", lambda *_: status)
    resumed.execute_complete(context(), {"total": 3}, BATCH.to_json())
    link: Any
    (link,) = waiting.operator_extra_links
    assert link.name == "Kafka batch"
    for made in (waiting, resumed):
        assert made.batch == {
            "batch_id": JOB,
            "attempt": 1,
            "jobs": 3,
            "payloads": 3,
            "request_topic": "jobs.requests",
            "response_topic": TOPIC,
        }
        assert link.get_link(made, ti_key=None) == f"http://ui/jobs.requests?key={JOB}"


@pytest.mark.parametrize(
    ("arguments", "fails"),
    [
        ({}, True),
        ({"on_failure": "collect"}, False),
        ({"on_failure": "collect", "max_failures": 2}, False),
        ({"on_failure": "collect", "max_failures": 1}, True),
        ({"on_failure": "collect", "max_failures": 0}, True),
    ],
)
def test_more_failed_jobs_than_tolerated_fail_the_task(
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    arguments: dict[str, Any],
    fails: bool,
) -> None:
    """Two failures of three fail the task as its author said; a batch that fails it is given up."""
    ends: list[FinishedJob | None] = [DONE, FAILED, FAILED]
    if not fails:
        assert resume(monkeypatch, ends, **arguments)[0] == 1
    else:
        with pytest.raises(KafkaBatchFailed, match=r"^2 of 3 jobs failed"):
            resume(monkeypatch, ends, **arguments)
        assert "The worker's own details of payloads[1]:\nTraceback …" in log.lines


LOST = FinishedJob(JobState.SUCCEEDED, result={"name": "a\0"})


def test_result_that_airflow_cannot_store_fails_the_task_and_keeps_the_others(
    monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    """The error names the payload, no retry follows, and the other results are kept as the XCom."""
    pushed: dict[str, Any] = {}
    status = BatchStatus(BATCH, [DONE, LOST, DONE], [0, 1, 2])
    monkeypatch.setattr(completion, "read_status", lambda *_: status)
    airflow = context()
    monkeypatch.setattr(airflow["ti"], "xcom_push", pushed.__setitem__, raising=False)
    with pytest.raises(KafkaBatchFailedNonRetryable) as caught:
        operator().execute_complete(airflow, {"total": 3}, BATCH.to_json())
    assert str(caught.value).startswith(
        "1 of 3 jobs succeeded, but Airflow cannot store their results: 1 × result_not_storable. "
        "First error: payloads[1]: result_not_storable: result.name: contains NUL. "
    )
    first, lost, last = pushed["return_value"]
    assert "The batch is not retried: another try could not help its failed jobs" in log.lines
    assert (first, last) == (DONE.result, DONE.result)
    assert lost["error"]["message"].startswith("result.name: contains NUL")
    assert log.lines[-1] == "The task fails; the results that can be stored are its XCom"


def test_error_names_the_lost_result_even_if_the_others_are_too_large(
    monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    """What is wrong with one payload comes first; that the others are not kept is logged."""
    large = FinishedJob(JobState.SUCCEEDED, result="x" * 2_000_000)
    with pytest.raises(KafkaBatchFailedNonRetryable, match=r"payloads\[1\]: result_not_storable"):
        resume(monkeypatch, [large, LOST, DONE])
    assert "are not kept: the results of 3 jobs take 2,000," in log.lines[-1]


def test_lost_result_counts_as_a_failed_job_of_a_collected_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It counts as one of the failures that a batch may have."""
    results = resume(monkeypatch, [DONE, LOST, DONE], on_failure="collect")
    assert results[0] == results[2] == DONE.result
    assert results[1]["error"]["type"] == "result_not_storable"


def test_results_file_holds_values_that_airflow_cannot_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file of JSON takes NUL and large integers; what JSON has not is an error in its line."""
    file = tmp_path / "results.jsonl"
    ends: list[FinishedJob | None] = [
        LOST,
        FinishedJob(JobState.SUCCEEDED, result=2**70),
        FinishedJob(JobState.SUCCEEDED, result=float("inf")),
    ]
    resume(monkeypatch, ends, on_failure="collect", results_file=str(file))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line.get("result") for line in lines] == [{"name": "a\0"}, 2**70, None]
    assert lines[2]["state"] == "SUCCEEDED"
    assert lines[2]["error"]["message"].startswith("result: is inf, which is not a number in JSON")


def test_batch_without_any_success_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs may fail."""
    with pytest.raises(KafkaBatchFailed, match=r"^3 of 3 jobs failed \(at most 2 may fail\)"):
        resume(monkeypatch, [FAILED, FAILED, FAILED], on_failure="collect")


def test_results_file_is_written_even_if_the_batch_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """When all jobs have ended, their results are in the file even if too many failed."""
    file = tmp_path / "results.jsonl"
    arguments = {"on_failure": "collect", "max_failures": 0, "results_file": str(file)}
    with pytest.raises(KafkaBatchFailed):
        resume(monkeypatch, [DONE, FAILED, DONE], **arguments)
    assert len(file.read_text().splitlines()) == 3


def test_response_removed_by_retention_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No result is invented for it."""
    with pytest.raises(RecordGone) as caught:
        resume(monkeypatch, [DONE, None, DONE])
    assert str(caught.value) == (
        "the responses to 1 of 3 jobs are no longer in topic 'jobs.responses': "
        "its retention is shorter than the batch takes. Increase retention.ms of the topic"
    )


@pytest.mark.parametrize(
    ("error", "words", "timed_out"),
    [
        ("not_started", f"not_started: in words. {QueueReport('jobs.requests')}", True),
        (
            "worker_lost",
            "worker_lost: in words. Look at the logs of the service's workers. A live worker "
            "publishes at least every heartbeat_interval. After the session timeout (30 s by "
            "default), Kafka gives the jobs of a dead worker to another worker of its group. "
            "heartbeat_timeout must be well above both.",
            True,
        ),
        (
            "deadline_exceeded",
            "deadline_exceeded: in words. The progress lines above show how far the work had come. "
            "To allow more time, increase timeout.",
            True,
        ),
        ("ReaderClosed", "ReaderClosed: in words", False),
    ],
)
def test_timeout_and_failed_reader_fail_the_task(
    kafka: Kafka,
    error: str,
    words: str,
    timed_out: bool,
) -> None:
    """Each in its own words; the task's retries apply."""
    with pytest.raises(KafkaBatchTimedOut if timed_out else KafkaJobWaitFailed) as caught:
        operator().execute_complete(
            context(), {"error": error, "message": "in words"}, BATCH.to_json()
        )
    assert str(caught.value) == words
    assert isinstance(caught.value, AirflowException)
    assert isinstance(caught.value, JobTimedOut) == timed_out


def test_timeout_of_a_plain_service_says_what_a_spring_listener_needs(
    kafka: Kafka, log: Log
) -> None:
    """Nothing is cancelled: such a service reads no commands."""
    made = operator(reply="plain", encoding="json")
    made.published = BATCH.last
    made.on_kill()
    with pytest.raises(KafkaBatchTimedOut) as caught:
        made.execute_complete(
            context(), {"error": "not_started", "message": "in words"}, BATCH.to_json()
        )
    assert str(caught.value) == (
        f"not_started: in words. {QueueReport('jobs.requests')} A Spring listener that throws "
        "sends no reply: give it an errorHandler that returns one "
        "(@KafkaListener(errorHandler = …))."
    )
    assert log.lines == []


def test_task_resumed_without_its_batch_looks_it_up(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dag.test()` drops the deferral's arguments: the batch is then the last one in Kafka."""
    said = BATCH.submission((1, 2), try_number=1)
    earlier = Earlier([(BATCH.last.job_ids()[0], said)], frozenset())
    monkeypatch.setattr(submission, "earlier_requests", lambda *_: earlier)
    status = BatchStatus(BATCH, [DONE, DONE, DONE], [0, 1, 2])
    monkeypatch.setattr(completion, "read_status", lambda _, batch, *__: [status][batch != BATCH])
    assert operator().execute_complete(context(), {"total": 3}) == [1, 1, 1]


def test_resumed_task_without_a_batch_is_an_error(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, the ids of the jobs are not known."""
    monkeypatch.setattr(submission, "earlier_requests", kafka.earlier_requests)
    with pytest.raises(ConfigurationError) as caught:
        operator().execute_complete(context(), {"total": 3})
    assert str(caught.value) == (
        "topic 'jobs.requests' has no request of this resumed task: clear the task to submit the "
        "batch again"
    )
