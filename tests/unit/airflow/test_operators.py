"""What an operator's author may say, and what the operator sends and waits with."""

from __future__ import annotations

import inspect
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.exceptions import TaskDeferred
from airflow.sdk import DAG, task

from kafka_bridge.airflow import (
    KafkaJobBatchOperator,
    KafkaJobOperator,
    KafkaJobPublishOperator,
    KafkaJobSensor,
)
from kafka_bridge.airflow.base import BridgeOperator
from kafka_bridge.airflow.resume_delay import LOOP_SECONDS
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.airflow.waiting_operator import WaitingOperator
from kafka_bridge.protocol import errors
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import text_header

from .samples import TOPIC, context
from .stand_ins import Kafka


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator."""
    return KafkaJobOperator(**{"task_id": "work", "job_type": "files.audit", **arguments})


# What its author may say.

NO_DURATION = "must be a timedelta or seconds, not"
TOO_SHORT = "must be greater than 0 s, not"
DURATIONS = [
    "heartbeat_interval",
    "heartbeat_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "schedule_to_close_timeout",
    "progress_timeout",
    "broker_timeout",
    "progress_log_interval",
]
BAD_DURATIONS: list[tuple[Any, str]] = [
    (0, f"{TOO_SHORT} 0 s"),
    (-1.5, f"{TOO_SHORT} -1.5 s"),
    (timedelta(minutes=-1), f"{TOO_SHORT} -60 s"),
    (math.nan, f"{TOO_SHORT} nan s"),
    (math.inf, "must be at most 100 years, not inf s"),
    (timedelta.max, "must be at most 100 years, not 8.64e+13 s"),
    ("soon", f"{NO_DURATION} 'soon'"),
    ([5], f"{NO_DURATION} [5]"),
]
BAD_FORMS: list[tuple[dict[str, Any], str]] = [
    ({"encoding": "xml"}, "encoding must be 'avro' or 'json', not 'xml'"),
    ({"encoding": "AVRO"}, "encoding must be 'avro' or 'json', not 'AVRO'"),
    ({"encoding": "registry"}, "encoding must be 'avro' or 'json', not 'registry'"),
    ({"encoding": None}, "encoding must be 'avro' or 'json', not None"),
    ({"heartbeat_interval": None}, f"heartbeat_interval {NO_DURATION} None"),
    ({"reply": "none"}, "reply must be 'events' or 'plain', not 'none'"),
    (
        {"reply": "plain", "encoding": "avro"},
        "reply='plain' implies encoding='json', not 'avro': "
        "services that send plain replies read only JSON",
    ),
    ({"on_retry": "retry"}, "on_retry must be 'reattach' or 'resubmit', not 'retry'"),
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
def test_invalid_argument_is_refused_with_its_name(arguments: dict[str, Any], words: str) -> None:
    """What makes no sense is refused when the DAG is parsed, in words that name the argument."""
    with pytest.raises(errors.ConfigurationError) as caught:
        operator(**arguments)
    assert str(caught.value) == words


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(("value", "words"), BAD_DURATIONS)
def test_invalid_duration_is_refused_with_its_name_and_value(
    name: str, value: Any, words: str
) -> None:
    """Every duration is checked, and the error names it and says what was given."""
    with pytest.raises(errors.ConfigurationError) as caught:
        operator(**{name: value})
    assert str(caught.value) == f"{name} {words}"


@pytest.mark.parametrize("value", [20, 20.0, timedelta(seconds=20)])
def test_durations_are_timedeltas_or_seconds(value: Any) -> None:
    """Seconds and timedeltas mean the same, everywhere."""
    made = operator(**dict.fromkeys(DURATIONS, value) | {"heartbeat_timeout": timedelta(minutes=1)})
    found = {name: getattr(made, name) for name in DURATIONS}
    assert found == dict.fromkeys(DURATIONS, 20.0) | {"heartbeat_timeout": 60.0}


def test_defaults_let_a_job_wait_a_day_and_run_while_its_worker_lives() -> None:
    """Without a word, a job waits a day for a worker and runs as long as its worker is alive."""
    made = operator()
    assert (made.request_topic, made.response_topic) == ("jobs.requests", TOPIC)
    assert (made.encoding, made.kafka_config_id) == (Encoding.AVRO, "kafka_default")
    assert (made.heartbeat_interval, made.heartbeat_timeout) == (10, 90)
    assert (made.schedule_to_start_timeout, made.start_to_close_timeout) == (86_400, None)
    assert made.schedule_to_close_timeout is None


def test_job_type_payload_and_topics_are_templates() -> None:
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


@pytest.mark.parametrize("arguments", [{}, {"encoding": "json"}])
def test_plain_replies_imply_json(monkeypatch: pytest.MonkeyPatch, arguments: Any) -> None:
    """A service without the protocol reads JSON, whatever Airflow's configuration says."""
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__ENCODING", "avro")
    assert operator(reply="plain", **arguments).encoding is Encoding.JSON


@pytest.mark.parametrize(
    ("configured", "arguments", "expected"),
    [
        ("true", {}, True),
        ("false", {}, False),
        ("false", {"deferrable": True}, True),
        ("true", {"deferrable": False}, False),
        ("false", {"end_from_trigger": True}, True),
    ],
)
def test_deferrable_follows_the_configuration_where_the_author_is_silent(
    monkeypatch: pytest.MonkeyPatch, configured: str, arguments: Any, expected: bool
) -> None:
    """Airflow's own option decides, as for the operators of all providers."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", configured)
    assert operator(**arguments).deferrable is expected


def test_deferrable_is_false_where_nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's default holds: a deployment without a triggerer works at once."""
    monkeypatch.delenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE")
    assert operator().deferrable is False


OWN = inspect.signature(KafkaJobOperator.__init__).parameters.keys() - {"self", "kwargs"}


def test_signature_shows_every_parameter() -> None:
    """Editors and type checkers see what the base classes take; only Airflow's own are hidden."""
    taken = {
        name
        for base in (KafkaJobPublishOperator, WaitingOperator, BridgeOperator)
        for name in inspect.signature(base.__init__).parameters
    }
    assert taken - {"self", "kwargs"} == OWN


def test_mapping_makes_one_task_for_each_payload() -> None:
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


@pytest.mark.parametrize("configured", ["true", "false"])
def test_mapped_tasks_follow_default_args_and_the_configured_deferral(
    monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    """A mapped task is made only when it runs: with the DAG's defaults, then Airflow's."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", configured)
    defaults = {"heartbeat_timeout": 77, "broker_timeout": 9, "poke_interval": 5}
    with DAG("mapped", schedule=None, default_args=defaults) as dag:
        KafkaJobOperator.partial(task_id="job", job_type="x").expand(payload=[1, 2])
        KafkaJobSensor.partial(task_id="sensor").expand(job=[{}])
        KafkaJobBatchOperator.partial(task_id="batch", job_type="x").expand(payloads=[[1], [2]])

        @task.kafka_job(job_type="x")
        def decorated(number: int) -> int:
            return number

        decorated.expand(number=[1, 2])
    over: dict[str, dict[str, Any]] = {
        "job": {"payload": 1},
        "sensor": {"job": {}},
        "batch": {"payloads": [1]},
        "decorated": {"op_kwargs": {"number": 1}},
    }
    for task_id, mapped in over.items():
        made: Any = dag.get_task(task_id).unmap(mapped)
        assert (made.heartbeat_timeout, made.broker_timeout) == (77.0, 9.0)
        assert made.deferrable is (configured == "true")


def test_mapping_refuses_an_unknown_argument() -> None:
    """A misspelt argument is refused when the DAG is parsed."""
    with pytest.raises(TypeError, match="hearbeat_timeout"):
        KafkaJobOperator.partial(task_id="work", job_type="files.audit", hearbeat_timeout=1)


# What it sends and how it waits.


def deferred(made: KafkaJobOperator) -> TaskDeferred:
    """Execute an operator; return what it defers with."""
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context())
    return caught.value


def test_request_has_the_arguments_and_the_task(kafka: Kafka) -> None:
    """The request says what the author asked for, and which task asks."""
    deferred(operator(payload={"path": "/data"}, encoding="json", broker_timeout=12))
    ((topic, key, value, headers),) = kafka.published
    (request,) = kafka.requests
    assert (topic, key, value[:1]) == ("jobs.requests", request.correlation_id.encode(), b"{")
    assert text_header(headers, "kafka_correlationId") == request.correlation_id
    assert "opened for 12 s" in kafka.journal
    assert (request.job_type, request.payload) == ("files.audit", b'{"path":"/data"}')
    assert request.heartbeat_interval_ms == 10_000
    assert request.task is not None
    task = request.task
    assert (task.dag_id, task.run_id, task.task_id) == ("nightly", "r-1", "work")
    assert (task.map_index, task.try_number) == (-1, 1)


@pytest.mark.parametrize(
    ("interval", "milliseconds"), [(0.0001, 1), (0.0019, 1), (1.5, 1500), (60, 60_000)]
)
def test_heartbeat_interval_is_at_least_a_millisecond(
    kafka: Kafka, interval: float, milliseconds: int
) -> None:
    """However short, the interval is not 0 on the wire, which would ask for no heartbeats."""
    deferred(operator(heartbeat_interval=interval))
    assert kafka.requests[0].heartbeat_interval_ms == milliseconds


@pytest.mark.parametrize(
    ("start", "close", "expires_after", "stops_after"),
    [
        (timedelta(hours=2), timedelta(hours=1), 7200, 10_800),
        (60, None, 60, None),
        (None, 60, None, None),
        (None, None, None, None),
    ],
)
def test_timeouts_become_expiry_and_deadline_of_the_request(
    kafka: Kafka, start: Any, close: Any, expires_after: float | None, stops_after: float | None
) -> None:
    """A job is not started once its wait is over, nor run on when its latest start is too long ago.

    A job that may wait for ever has neither bound: when it must stop is known when it has started.
    """
    deferred(operator(schedule_to_start_timeout=start, start_to_close_timeout=close))
    (request,) = kafka.requests

    def after(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - request.created_at).total_seconds()

    assert after(request.expires_at) == expires_after
    assert after(request.deadline) == stops_after


@pytest.mark.parametrize(
    ("start", "close", "whole", "stops_after"),
    [
        (60, 60, 100, 100),
        (60, 60, 200, 120),
        (60, None, 100, 100),
        (None, None, 100, 100),
        (200, None, 100, 100),
    ],
)
def test_deadline_of_the_request_is_the_earlier_of_both_rules(
    kafka: Kafka, start: float | None, close: float | None, whole: float, stops_after: float
) -> None:
    """The worker stops a job when schedule_to_close_timeout passes, without any trigger."""
    deferred(
        operator(
            schedule_to_start_timeout=start,
            start_to_close_timeout=close,
            schedule_to_close_timeout=whole,
        )
    )
    (request,) = kafka.requests
    assert request.deadline == request.created_at + timedelta(seconds=stops_after)


@pytest.mark.parametrize("seconds", [0.0004, 1.2345, 1 / 3])
def test_expiry_and_deadline_are_whole_milliseconds(kafka: Kafka, seconds: float) -> None:
    """Any timeouts give a request that the protocol allows."""
    deferred(operator(schedule_to_start_timeout=seconds, start_to_close_timeout=seconds))
    (request,) = kafka.requests
    assert request.expires_at is not None
    assert request.deadline is not None
    assert request.expires_at.microsecond % 1000 == request.deadline.microsecond % 1000 == 0


def test_trigger_waits_for_this_job_under_the_tasks_timeouts(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trigger waits for this job, from where the topic ended, under the author's timeouts.

    It fires no event before the supervisor and the scheduler have seen the task defer.
    """
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "4")
    monkeypatch.setenv("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "1.5")
    made = operator(
        start_to_close_timeout=60,
        schedule_to_start_timeout=None,
        heartbeat_timeout=70,
        schedule_to_close_timeout=600,
        progress_timeout=40,
        control_topic="c",
        encoding="json",
        cancel_on_kill=False,
        end_from_trigger=True,
    )
    before = datetime.now(UTC).timestamp()
    told = deferred(made)
    after = datetime.now(UTC).timestamp()
    assert isinstance(told.trigger, KafkaJobTrigger)
    _, arguments = told.trigger.serialize()
    submitted_at, not_before = arguments.pop("submitted_at"), arguments.pop("not_before")
    assert before - 0.001 <= submitted_at <= after
    assert arguments.pop("first_submitted_at") == submitted_at
    assert arguments.pop("resume_delay") == 4 + 1.5 + LOOP_SECONDS
    assert before <= not_before - 4 - 1.5 - LOOP_SECONDS <= after
    job = kafka.requests[0].correlation_id
    assert arguments == {
        "correlation_id": job,
        "job_type": "files.audit",
        "kafka_config_id": "kafka_default",
        "response_topic": TOPIC,
        "control_topic": "c",
        "encoding": "json",
        "start_offsets": [4, 5, 6],
        "schedule_to_start_timeout": None,
        "heartbeat_timeout": 70.0,
        "start_to_close_timeout": 60.0,
        "schedule_to_close_timeout": 600.0,
        "progress_timeout": 40.0,
        "progress_log_interval": 5.0,
        "cancel_on_kill": False,
        "end_from_trigger": True,
        "reply": "events",
        "logged_offsets": [],
        "request_topic": "jobs.requests",
        "request_partition": 1,
        "request_offset": 17,
    }
    assert told.method_name == "execute_complete"
    assert told.kwargs is not None
    assert told.kwargs["job"]["correlation_id"] == job


NOTHING_GOES_OUT: list[tuple[dict[str, Any], type[Exception], str]] = [
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
    (
        {"payload": "x" * 1_000_000},
        errors.RecordTooLarge,
        "a record of 1,000,",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "words"), NOTHING_GOES_OUT)
def test_request_that_cannot_be_published_fails_before_kafka_is_asked(
    kafka: Kafka,
    arguments: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    """What cannot be sent fails the task before anything is asked of Kafka."""
    with pytest.raises(error) as caught:
        operator(**arguments).execute(context())
    assert str(caught.value).startswith(words)
    assert kafka.journal == []


def test_error_of_a_too_large_payload_names_the_limit(kafka: Kafka) -> None:
    """The words name the limit that was met, and what to do."""
    with pytest.raises(errors.RecordTooLarge) as caught:
        operator(payload="x" * 1_000_000).execute(context())
    assert (
        "is too large for topic 'jobs.requests': the producer's 'message.max.bytes' is 1,000,000. "
        "Put large data elsewhere and send a reference to it"
    ) in str(caught.value)


def test_rendered_view_shows_the_correlation_id(kafka: Kafka) -> None:
    """Airflow shows template fields as they are after the task has run: the job is one of them."""
    made = operator()
    deferral = deferred(made)
    assert made.overwrite_rtif_after_execution
    assert "job" in made.template_fields
    (request,) = kafka.requests
    assert made.job == {
        "correlation_id": request.correlation_id,
        "attempt": 1,
        "job_type": "files.audit",
        "request_topic": "jobs.requests",
        "response_topic": "jobs.responses",
        "submitted_at": request.created_at.isoformat(timespec="seconds"),
    }
    resumed = operator()
    assert deferral.kwargs is not None
    with pytest.raises(errors.RecordGone):
        resumed.execute_complete(
            context(), {"state": "SUCCEEDED", "partition": 0, "offset": 1}, **deferral.kwargs
        )
    assert resumed.job == made.job
