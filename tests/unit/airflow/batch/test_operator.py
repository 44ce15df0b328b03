"""The batch operator without brokers: what it takes, how it waits, what it refuses to send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobBatchTrigger
from kafka_bridge.airflow.batch import cancel as batch_cancel
from kafka_bridge.airflow.batch import completion, submission
from kafka_bridge.airflow.batch.ends import BatchEnds
from kafka_bridge.airflow.batch.exceptions import (
    KafkaBatchFailed,
    KafkaBatchFailedForGood,
    KafkaBatchTimedOut,
)
from kafka_bridge.airflow.batch.job_end import JobEnd
from kafka_bridge.airflow.batch.stored_batch import STORE_KEY, Batch, Round
from kafka_bridge.airflow.exceptions import KafkaJobKilled, KafkaJobWaitFailed
from kafka_bridge.airflow.resume_delay import LOOP_SECONDS
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

from ..samples import JOB, TOPIC, Store, context
from ..stand_ins import Kafka, Log

BATCH = Batch(2, "jobs.requests", TOPIC, [Round(JOB, 1, 3, 1_800_000_000_000, [3, 0], [4, 5, 6])])


def operator(**arguments: Any) -> KafkaJobBatchOperator:
    """Return an operator of three jobs."""
    given = {"task_id": "work", "job_type": "files.audit", "payloads": [0, 1, 2], **arguments}
    return KafkaJobBatchOperator(**given)


# What its author may say.

EITHER = "a batch needs either payloads or payloads_file"
BAD_FORMS: list[tuple[dict[str, Any], str]] = [
    ({"payloads": None}, EITHER),
    ({"payloads_file": "numbers.jsonl"}, EITHER),
    ({"on_failure": "ignore"}, "on_failure must be 'fail_fast' or 'collect', not 'ignore'"),
    ({"max_failures": 1}, "max_failures goes with on_failure='collect' only"),
    (
        {"on_failure": "collect", "max_failures": -1},
        "max_failures must be 0 or more, not -1",
    ),
    (
        {"start_to_close_timeout": 5},
        "a batch has no start_to_close_timeout: set timeout, for all of its jobs together",
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
    ({"reply": "plain"}, "reply='plain' needs encoding='json': a stock service reads no Avro"),
    ({"timeout": 0}, "timeout must be longer than nothing, not 0 s"),
    (
        {"heartbeat_interval": 90},
        "heartbeat_timeout (90 s) must be longer than heartbeat_interval (90 s)",
    ),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_FORMS)
def test_bad_form(arguments: dict[str, Any], words: str) -> None:
    """What makes no sense is refused when the DAG is parsed, in words that name the argument."""
    with pytest.raises(ConfigurationError) as caught:
        operator(**arguments)
    assert str(caught.value) == words


def test_templates() -> None:
    """Payloads, files and topics are rendered with the run's context."""
    made = operator(
        payloads=[{"path": "{{ name }}/a"}],
        results_file="/data/{{ name }}.jsonl",
        request_topic="{{ name }}.requests",
    )
    made.render_template_fields({"name": "files"})  # type: ignore[typeddict-unknown-key]
    assert made.payloads == [{"path": "files/a"}]
    assert (made.results_file, made.request_topic) == ("/data/files.jsonl", "files.requests")


def test_payloads_from_another_task() -> None:
    """The payloads may be another task's output, and the other task goes first."""
    with DAG("batch", schedule=None):
        first = KafkaJobBatchOperator(task_id="first", job_type="a", payloads=[1])
        second = KafkaJobBatchOperator(task_id="second", job_type="a", payloads=first.output)
    assert second.upstream_task_ids == {"first"}


# How it waits.


@pytest.fixture
def submitted(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the submission bring a batch of three on its way."""
    monkeypatch.setattr(submission, "submit", lambda *_: BATCH)


def test_trigger(submitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One trigger waits for the batch; what Airflow stores of it is small, whatever its size."""
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
    assert arguments.pop("settle_seconds") == 4 + 1 + LOOP_SECONDS
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
    assert (caught.value.method_name, caught.value.kwargs) == ("execute_complete", None)


def test_killed(kafka: Kafka, monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    """A process that is killed while it publishes cancels what it has published, if it can."""
    told: list[tuple[Any, ...]] = []

    def cancel_all(config: KafkaConfig, topic: str, jobs: list[str], reason: str, **_: Any) -> None:
        told.append((topic, jobs, reason))
        if len(told) > 1:
            raise BrokerUnreachable("no broker answered")

    monkeypatch.setattr(batch_cancel, "cancel_all", cancel_all)
    made = operator()
    made.on_kill()
    assert told == []
    made.published = BATCH.last
    made.on_kill()
    made.on_kill()
    assert told == [("jobs.control", BATCH.last.job_ids(), "the task was killed")] * 2
    assert [line for line in log.lines if "jobs" in line] == [
        "Published CANCEL for 3 jobs: the task was killed",
        "Publishing CANCEL for 3 jobs failed: no broker answered",
    ]


def test_killed_while_it_publishes(submitted: None) -> None:
    """A process that has cancelled its batch does not defer to it; the retry submits it anew."""
    made = operator()
    made.on_kill()
    with pytest.raises(KafkaJobKilled) as caught:
        made.execute(context())
    assert str(caught.value) == "the task was killed while it published its batch"
    assert not isinstance(caught.value, AirflowFailException)


# What it does not send.

NOTHING_SENT: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"payloads": [1, 2, 3, {"x": object}]},
        PayloadNotSerialisable,
        "payloads[3]['x'] cannot be written as JSON",
    ),
    (
        {"payloads": [1, "2", "three"], "payload_model": int},
        InvalidPayload,
        "payloads[2] does not fit int: payload: Input should be a valid integer",
    ),
    (
        {"payload_model": "Audit"},
        ConfigurationError,
        "payload_model must be a pydantic model, a dataclass or another type that pydantic knows, "
        "not 'Audit'",
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
def test_nothing_goes_out(
    kafka: Kafka, store: Store, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """What can be known beforehand is known before anything is stored or sent."""
    with pytest.raises(error) as caught:
        operator(**arguments).execute(context(store))
    assert str(caught.value).startswith(words)
    assert store.values == {}


MANY_RESULTS: list[dict[str, Any]] = [
    {"results_file": "results.jsonl"},
    {"do_xcom_push": False},
    {"result_handler": len},
]


@pytest.mark.parametrize("arguments", MANY_RESULTS)
def test_many_results_elsewhere(kafka: Kafka, store: Store, arguments: dict[str, Any]) -> None:
    """Where they are not returned, there may be any number: it goes on to ask the brokers."""
    made = operator(payloads=range(10_001), broker_timeout=0.2, **arguments)
    with pytest.raises(BrokerUnreachable):
        made.execute(context(store))


def test_empty_batch(kafka: Kafka, store: Store, tmp_path: Path, log: Log) -> None:
    """An empty batch is done at once, without Kafka: an empty list, or an empty file."""
    file = tmp_path / "results.jsonl"
    assert operator(payloads=[]).execute(context(store)) == []
    assert operator(payloads=[], results_file=str(file)).execute(context(store)) == {
        "total": 0,
        "succeeded": 0,
        "failed": 0,
        "results_file": str(file),
    }
    assert file.read_bytes() == b""
    assert operator(payloads=[], result_handler=len).execute(context(store)) == 0
    assert log.lines == ["The batch is empty: nothing is submitted"] * 3
    assert store.values == {}


# What it makes of the end.


@pytest.fixture
def known(store: Store) -> Store:
    """Give a store that knows the batch."""
    BATCH.save(store)
    return store


def resume(
    monkeypatch: pytest.MonkeyPatch, store: Store, ends: list[JobEnd | None], **arguments: Any
) -> Any:
    """Resume the task of a batch whose jobs came to that."""
    stand = BatchEnds(BATCH, ends, [0, 1, 2])
    monkeypatch.setattr(completion, "read_ends", lambda *_: stand)
    return operator(**arguments).execute_complete(context(store), {"total": 3})


DONE = JobEnd(JobState.SUCCEEDED, result=1)
FAILED = JobEnd(JobState.FAILED, error=JobFailure("busy", "later", "Traceback …", retryable=True))


def test_results(known: Store, monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    """The results are the XCom; the log says how many there are of each kind."""
    assert resume(monkeypatch, known, [DONE, DONE, DONE]) == [1, 1, 1]
    assert log.lines == [f"Batch {JOB} of 3 jobs: 3 SUCCEEDED"]
    assert resume(monkeypatch, known, [DONE, DONE, DONE], do_xcom_push=False) is None


def test_result_handler(known: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The handler gets what would be the XCom, and what it returns is the XCom.

    It gets the results however large they are, and where a file has them, the summary.
    """
    large = JobEnd(JobState.SUCCEEDED, result="x" * 600_000)

    def lengths(results: list[str]) -> list[int]:
        return [len(each) for each in results]

    for pushes in (True, False):
        handled = resume(
            monkeypatch, known, [large] * 3, result_handler=lengths, do_xcom_push=pushes
        )
        assert handled == [600_000] * 3
    file = str(tmp_path / "results.jsonl")
    arguments = {"results_file": file, "result_handler": lambda summary: summary["results_file"]}
    assert resume(monkeypatch, known, [DONE] * 3, **arguments) == file


def test_result_handler_that_fails(known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that fails fails the task and does not give the batch up: a retry reads it anew."""

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        resume(monkeypatch, known, [DONE] * 3, result_handler=fail)
    batch = Batch.load(known)
    assert batch is not None
    assert not batch.last.given_up


def test_failed_batch_is_not_handled(known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler sees the results of batches that succeed only."""
    seen: list[Any] = []
    with pytest.raises(KafkaBatchFailed):
        resume(monkeypatch, known, [DONE, FAILED, DONE], result_handler=seen.append)
    assert seen == []


def test_page_of_the_task(submitted: None, known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rendered view and the link know the batch, while it runs and when it has ended."""
    monkeypatch.setenv(
        "AIRFLOW__KAFKA_BRIDGE__BATCH_URL", "http://ui/{request_topic}?key={batch_id}"
    )
    waiting, resumed = operator(), operator()
    with pytest.raises(TaskDeferred):
        waiting.execute(context(known))
    stand = BatchEnds(BATCH, [DONE, DONE, DONE], [0, 1, 2])
    monkeypatch.setattr(completion, "read_ends", lambda *_: stand)
    resumed.execute_complete(context(known), {"total": 3})
    (link,) = KafkaJobBatchOperator.operator_extra_links
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
def test_how_many_may_fail(
    known: Store, monkeypatch: pytest.MonkeyPatch, log: Log, arguments: dict[str, Any], fails: bool
) -> None:
    """Two failures of three fail the task as its author said; a batch that fails it is given up."""
    ends: list[JobEnd | None] = [DONE, FAILED, FAILED]
    if not fails:
        assert resume(monkeypatch, known, ends, **arguments)[0] == 1
    else:
        with pytest.raises(KafkaBatchFailed, match=r"^2 of 3 jobs failed"):
            resume(monkeypatch, known, ends, **arguments)
        assert "The worker's own details of payloads[1]:\nTraceback …" in log.lines
    batch = Batch.load(known)
    assert batch is not None
    assert batch.last.given_up == fails


LOST = JobEnd(JobState.SUCCEEDED, result={"name": "a\0"})


def test_result_that_airflow_cannot_store(
    known: Store, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    """The error names the payload, no retry follows, and the other results are kept as the XCom."""
    pushed: dict[str, Any] = {}
    stand = BatchEnds(BATCH, [DONE, LOST, DONE], [0, 1, 2])
    monkeypatch.setattr(completion, "read_ends", lambda *_: stand)
    known_to_airflow = context(known)
    monkeypatch.setattr(known_to_airflow["ti"], "xcom_push", pushed.__setitem__, raising=False)
    with pytest.raises(KafkaBatchFailedForGood) as caught:
        operator().execute_complete(known_to_airflow, {"total": 3})
    assert str(caught.value).startswith(
        "1 of 3 jobs succeeded, but Airflow cannot store their results: 1 × result_not_storable. "
        "The first is that of payloads[1]: result_not_storable: result.name: contains NUL. "
    )
    first, lost, last = pushed["return_value"]
    assert (first, last) == (DONE.result, DONE.result)
    assert lost["error"]["message"].startswith("result.name: contains NUL")
    assert log.lines[-1] == "The task fails; the results that can be stored are its XCom"


def test_result_that_cannot_be_stored_is_named_where_the_others_are_too_large(
    known: Store, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    """What is wrong with one payload comes first; that the others are not kept is logged."""
    large = JobEnd(JobState.SUCCEEDED, result="x" * 2_000_000)
    with pytest.raises(KafkaBatchFailedForGood, match=r"payloads\[1\]: result_not_storable"):
        resume(monkeypatch, known, [large, LOST, DONE])
    assert "are not kept: the results of 3 jobs take 2,000," in log.lines[-1]


def test_result_that_airflow_cannot_store_among_collected(
    known: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as one of the failures that a batch may have."""
    results = resume(monkeypatch, known, [DONE, LOST, DONE], on_failure="collect")
    assert results[0] == results[2] == DONE.result
    assert results[1]["error"]["type"] == "result_not_storable"


def test_result_that_only_a_file_can_hold(
    known: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file of JSON takes NUL and large integers; what JSON has not is an error in its line."""
    file = tmp_path / "results.jsonl"
    ends: list[JobEnd | None] = [
        LOST,
        JobEnd(JobState.SUCCEEDED, result=2**70),
        JobEnd(JobState.SUCCEEDED, result=float("inf")),
    ]
    resume(monkeypatch, known, ends, on_failure="collect", results_file=str(file))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line.get("result") for line in lines] == [{"name": "a\0"}, 2**70, None]
    assert lines[2]["state"] == "SUCCEEDED"
    assert lines[2]["error"]["message"].startswith("result: is inf, which is not a number in JSON")


def test_nothing_succeeded(known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many may fail: when all of them have, the task has."""
    with pytest.raises(KafkaBatchFailed, match=r"^3 of 3 jobs failed \(2 may\)"):
        resume(monkeypatch, known, [FAILED, FAILED, FAILED], on_failure="collect")


def test_results_file_of_a_batch_that_fails(
    known: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """When all jobs have ended, their results are in the file even if too many failed."""
    file = tmp_path / "results.jsonl"
    arguments = {"on_failure": "collect", "max_failures": 0, "results_file": str(file)}
    with pytest.raises(KafkaBatchFailed):
        resume(monkeypatch, known, [DONE, FAILED, DONE], **arguments)
    assert len(file.read_text().splitlines()) == 3


def test_responses_that_are_gone(known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that retention has removed since the trigger saw it is missed, not invented."""
    with pytest.raises(RecordGone) as caught:
        resume(monkeypatch, known, [DONE, None, DONE])
    assert str(caught.value) == (
        "the responses to 1 of 3 jobs are no longer in topic 'jobs.responses': "
        "its retention is shorter than the batch takes"
    )


@pytest.mark.parametrize(
    ("error", "words", "given_up"),
    [
        ("not_started", f"not_started: in words. {QueueReport('jobs.requests')}", True),
        ("worker_lost", "worker_lost: in words", True),
        ("deadline_exceeded", "deadline_exceeded: in words", True),
        ("ReaderClosed", "ReaderClosed: in words", False),
    ],
)
def test_wait_that_failed(
    known: Store,
    kafka: Kafka,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
    words: str,
    given_up: bool,
) -> None:
    """After a time-out, a retry submits anew; after a reader that failed, it goes on waiting."""
    monkeypatch.setattr(completion, "diagnose", kafka.diagnose)
    with pytest.raises(KafkaBatchTimedOut if given_up else KafkaJobWaitFailed) as caught:
        operator().execute_complete(context(known), {"error": error, "message": "in words"})
    assert str(caught.value) == words
    assert isinstance(caught.value, AirflowException)
    assert isinstance(caught.value, JobTimedOut) == given_up
    batch = Batch.load(known)
    assert batch is not None
    assert batch.last.given_up == given_up


def test_stock_service_that_is_silent(
    known: Store, kafka: Kafka, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    """The time-out says what a Spring service must do; nobody is told to stop, for it would not."""
    monkeypatch.setattr(completion, "diagnose", kafka.diagnose)
    made = operator(reply="plain", encoding="json")
    made.published = BATCH.last
    made.on_kill()
    with pytest.raises(KafkaBatchTimedOut) as caught:
        made.execute_complete(context(known), {"error": "not_started", "message": "in words"})
    assert str(caught.value) == (
        f"not_started: in words. {QueueReport('jobs.requests')} A Spring listener that throws "
        "sends no reply: give it an errorHandler that returns one "
        "(@KafkaListener(errorHandler = …))."
    )
    assert log.lines == []


def test_emptied_store(store: Store) -> None:
    """Without what was stored, the jobs' ids are not known, and the error says so."""
    with pytest.raises(ConfigurationError) as caught:
        operator().execute_complete(context(store), {"total": 3})
    assert str(caught.value) == (
        "the task state store has no batch of this task: it was emptied while the batch ran. "
        "Clear the task to submit the batch again"
    )


def test_what_is_stored(store: Store) -> None:
    """The store keeps plain JSON, for ever, and little of it: no list of ids."""
    BATCH.with_round(BATCH.last).given_up().save(store)
    assert json.loads(json.dumps(store.values)) == store.values
    assert len(json.dumps(store.values[STORE_KEY])) < 500
    loaded = Batch.load(store)
    assert loaded is not None
    assert [each.given_up for each in loaded.rounds] == [False, True]
    assert Batch.load(Store()) is None
