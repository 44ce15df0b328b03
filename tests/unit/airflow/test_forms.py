"""The other forms: publish and wait apart, a decorator, without a triggerer, without a worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, task
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TriggerEvent

from kafka_bridge.airflow import (
    KafkaJobOperator,
    KafkaJobPublishOperator,
    KafkaJobSensor,
    KafkaJobTrigger,
)
from kafka_bridge.airflow.exceptions import KafkaJobTimedOut
from kafka_bridge.protocol.errors import ConfigurationError, InvalidPayload
from kafka_bridge.protocol.messages import JobState

from .samples import JOB, Store, context, event, handle
from .stand_ins import Kafka

WHAT_A_HANDLE_IS = (
    "job must be what KafkaJobPublishOperator returns, as it is, or as JSON text "
    "(in a template: `| tojson`), not "
)
DONE = {"state": "SUCCEEDED", "partition": 2, "offset": 17}


# Publish, and wait elsewhere.


def test_publish(kafka: Kafka, store: Store) -> None:
    """The task's XCom is a small handle, with all that one needs to wait for the job."""
    made = KafkaJobPublishOperator(task_id="work", job_type="files.audit")
    told = made.execute(context(store))
    (request,) = kafka.requests
    expected = handle(
        correlation_id=request.correlation_id, submitted_at=request.created_at.timestamp()
    )
    assert told == expected.to_json()
    assert json.loads(json.dumps(told)) == told


def wait(made: KafkaJobSensor) -> KafkaJobTrigger:
    """Execute a sensor; return the trigger that it defers to."""
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context())
    assert isinstance(caught.value.trigger, KafkaJobTrigger)
    return caught.value.trigger


@pytest.mark.parametrize("form", ["value", "text"])
def test_sensor(kafka: Kafka, form: str) -> None:
    """It waits for the job of the handle, through the connection that published it."""
    job: Any = handle(kafka_config_id="theirs").to_json()
    trigger = wait(KafkaJobSensor(task_id="s", job=job if form == "value" else json.dumps(job)))
    assert (trigger.spec.correlation_id, trigger.spec.start_offsets) == (JOB, [4, 5, 6])
    assert (trigger.spec.kafka_config_id, trigger.spec.job_type) == ("theirs", "files.audit")
    assert not trigger.spec.cancel_on_kill
    assert kafka.published == []


def test_sensor_with_a_connection_of_its_own(kafka: Kafka) -> None:
    """Another deployment's connection has another name: the sensor may say which one it is."""
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), kafka_config_id="mine")
    assert wait(made).spec.kafka_config_id == "mine"


@pytest.mark.parametrize(
    "job",
    [None, 42, "", "{", "{'correlation_id': 'x'}", {}, {"correlation_id": JOB}, "[]"],
)
def test_sensor_without_a_handle(kafka: Kafka, job: Any) -> None:
    """What is no handle is said so, with what it is, and how a template passes one on."""
    with pytest.raises(ConfigurationError) as caught:
        KafkaJobSensor(task_id="s", job=job).execute(context())
    assert str(caught.value).startswith(WHAT_A_HANDLE_IS)


def test_sensor_with_an_id_that_is_none(kafka: Kafka) -> None:
    """A handle whose id is no correlation id is no handle."""
    job = handle(correlation_id="42").to_json()
    with pytest.raises(
        ConfigurationError, match="job must be what KafkaJobPublishOperator returns"
    ):
        KafkaJobSensor(task_id="s", job=job).execute(context())


def test_sensor_resumed(kafka: Kafka) -> None:
    """The result of the job is the sensor's, and its handler is asked."""
    kafka.ended = event(JobState.SUCCEEDED, result=b"3", result_type="application/json")
    job = handle().to_json()
    made = KafkaJobSensor(task_id="s", job=job, result_handler=lambda result: result + 1)
    assert made.execute_complete(context(), DONE, job=job) == 4
    assert made.execute_complete(context(), DONE) == 4


@pytest.mark.parametrize("cancel", [False, True])
def test_sensor_that_is_killed_or_times_out(kafka: Kafka, cancel: bool) -> None:
    """The job is not the sensor's own: it is cancelled only where the author says so."""
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), cancel_on_kill=cancel)
    wait(made)
    made.on_kill()
    with pytest.raises(KafkaJobTimedOut):
        made.execute_complete(context(), {"error": "worker_lost", "message": "silent"})
    reasons = ["the task was killed", "worker_lost: silent"]
    assert kafka.cancelled == ([(JOB, reason) for reason in reasons] if cancel else [])


# Decorated.


def test_decorator(kafka: Kafka, store: Store) -> None:
    """What the function returns is the payload; it is not rendered as a template once more."""
    with DAG("decorated", schedule=None):

        @task.kafka_job(job_type="files.audit", heartbeat_timeout=77)
        def audit(folder: str) -> dict[str, str]:
            return {"path": f"{folder}/{{{{ ds }}}}"}

        output: Any = audit("/data")
        made = output.operator
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context(store))
    assert kafka.requests[0].payload == b'{"path":"/data/{{ ds }}"}'
    assert caught.value.trigger.serialize()[1]["heartbeat_timeout"] == 77
    assert (made.task_id, made.multiple_outputs) == ("audit", False)


def test_decorator_without_a_job_type() -> None:
    """What is missing is named when the DAG is parsed."""
    with DAG("decorated", schedule=None):
        audit = task.kafka_job(lambda: None)
        with pytest.raises(TypeError, match="job_type"):
            audit()


# Without a triggerer.


def test_waits_in_the_worker(kafka: Kafka, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With deferrable=False the task waits for the same trigger, in its own process."""
    waited: list[KafkaJobTrigger] = []

    async def run(trigger: KafkaJobTrigger) -> AsyncIterator[TriggerEvent]:
        waited.append(trigger)
        (request,) = kafka.requests
        kafka.ended = event(
            JobState.SUCCEEDED,
            correlation_id=request.correlation_id,
            result=b"3",
            result_type="application/json",
        )
        yield TriggerEvent(DONE)

    monkeypatch.setattr(KafkaJobTrigger, "run", run)
    made = KafkaJobOperator(task_id="work", job_type="files.audit", deferrable=False)
    assert made.execute(context(store)) == 3
    assert [each.spec.resume_delay for each in waited] == [0.0]


# Without a worker at the end.


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"deferrable": False}, "deferrable=False"),
        ({"result_handler": str}, "result_handler"),
        ({"outlets": [Asset("x")]}, "outlets"),
        ({"multiple_outputs": True}, "multiple_outputs"),
        ({"reply": "plain", "encoding": "json"}, "reply='plain'"),
    ],
)
def test_end_from_trigger_is_refused_with_what_needs_a_worker(
    arguments: dict[str, Any], what: str
) -> None:
    """What would silently not happen is refused when the DAG is parsed."""
    with pytest.raises(ConfigurationError) as caught:
        KafkaJobOperator(task_id="work", job_type="x", end_from_trigger=True, **arguments)
    assert str(caught.value) == (
        f"end_from_trigger=True ends the task without a worker, and {what} needs one: "
        "leave out one of the two"
    )


# A model for the payload.


@dataclass
class Thumbnails:
    """What a service of the tests wants."""

    images: list[str]
    width: int = 128


def payload(kafka: Kafka, value: Any, model: Any = Thumbnails) -> bytes | None:
    """Return what goes out for a payload."""
    with pytest.raises(TaskDeferred):
        KafkaJobOperator(task_id="work", job_type="x", payload=value, payload_model=model).execute(
            context()
        )
    return kafka.requests[-1].payload


@pytest.mark.parametrize(
    "value", [{"images": ["a"], "width": "64"}, Thumbnails(["a"], 64)], ids=["templated", "made"]
)
def test_payload_that_fits(kafka: Kafka, value: Any) -> None:
    """It goes out as its model has it: a template's text becomes the number it stands for."""
    assert payload(kafka, value) == b'{"images":["a"],"width":64}'


def test_defaults_of_the_model_go_out(kafka: Kafka) -> None:
    """What the payload leaves out is filled in, so that both sides mean the same."""
    assert payload(kafka, {"images": []}) == b'{"images":[],"width":128}'


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"images": ["a", 2], "width": "wide"},
            "the payload does not fit Thumbnails: images.1: Input should be a valid string, got 2; "
            "width: Input should be a valid integer, unable to parse string as an integer, "
            "got 'wide'",
        ),
        (
            {"width": 1},
            "the payload does not fit Thumbnails: images: Field required, got {'width': 1}",
        ),
    ],
)
def test_payload_that_does_not_fit(kafka: Kafka, store: Store, value: Any, words: str) -> None:
    """The task fails before anything is stored or sent, and the error names each wrong field."""
    made = KafkaJobOperator(task_id="work", job_type="x", payload=value, payload_model=Thumbnails)
    with pytest.raises(InvalidPayload) as caught:
        made.execute(context(store))
    assert str(caught.value) == words
    assert kafka.journal == []
