"""The other forms: publish and wait apart, a decorator, without a worker at the end."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.exceptions import TaskDeferred
from airflow.sdk import DAG, Asset, task

from kafka_bridge.airflow import KafkaJobOperator, KafkaJobPublishOperator
from kafka_bridge.airflow.decorators import kafka_job_task
from kafka_bridge.protocol.errors import ConfigurationError, InvalidPayload
from kafka_bridge.protocol.messages import JobState

from .samples import context, event, handle
from .stand_ins import Kafka

DONE = {"state": "SUCCEEDED", "partition": 2, "offset": 17}


# Publish, and wait elsewhere.


def test_publish_operator_returns_a_handle_with_all_that_a_wait_needs(kafka: Kafka) -> None:
    """The task's XCom is a small handle, with all that one needs to wait for the job."""
    made = KafkaJobPublishOperator(task_id="work", job_type="files.audit")
    told = made.execute(context())
    (request,) = kafka.requests
    expected = handle(
        correlation_id=request.correlation_id,
        submitted_at=request.created_at.timestamp(),
        request_partition=1,
        request_offset=17,
        first_submitted_at=request.created_at.timestamp(),
    )
    assert told == expected.to_json()
    assert json.loads(json.dumps(told)) == told


# Decorated.


def test_decorated_function_returns_the_payload(kafka: Kafka) -> None:
    """What the function returns is the payload; it is not rendered as a template once more."""
    with DAG("decorated", schedule=None):

        @task.kafka_job(job_type="files.audit", heartbeat_timeout=77)
        def audit(folder: str) -> dict[str, str]:
            return {"path": f"{folder}/{{{{ ds }}}}"}

        output: Any = audit("/data")
        made = output.operator
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context())
    assert kafka.requests[0].payload == b'{"path":"/data/{{ ds }}"}'
    assert caught.value.trigger.serialize()[1]["heartbeat_timeout"] == 77
    assert (made.task_id, made.multiple_outputs) == ("audit", False)


def test_resumed_decorated_task_calls_its_function_again_for_another_job(kafka: Kafka) -> None:
    """The job of an earlier try was cleared while it ran. The function's payload is not known."""
    kafka.ended = event(JobState.CANCELLED)
    with DAG("decorated", schedule=None):

        @task.kafka_job(job_type="files.audit")
        def audit(folder: str) -> dict[str, str]:
            return {"path": folder}

        output: Any = audit("/data")
    event_of_trigger = {"state": "CANCELLED", "partition": 2, "offset": 17}
    with pytest.raises(TaskDeferred):
        output.operator.execute_complete(context(2), event_of_trigger, job=handle().to_json())
    assert [request.payload for request in kafka.requests] == [b'{"path":"/data"}']


def test_decorator_without_a_job_type_is_refused() -> None:
    """What is missing is named when the DAG is parsed."""
    with DAG("decorated", schedule=None):
        audit = task.kafka_job(lambda: None)  # no job_type
        with pytest.raises(TypeError, match="job_type"):
            audit()


def test_decorator_leaves_default_arguments_to_the_dag() -> None:
    """What its caller leaves out comes from the DAG's ``default_args``, then from the defaults."""
    with DAG("decorated", schedule=None, default_args={"heartbeat_timeout": 66}):

        @task.kafka_job(job_type="x", on_retry="resubmit")
        def work() -> None: ...

        output: Any = work()
    made = output.operator
    assert (made.heartbeat_timeout, made.on_retry) == (66, "resubmit")
    assert made.progress_log_interval == 5


def test_decorator_has_the_parameters_of_the_operator() -> None:
    """All but the payload, which the function returns."""
    shown = inspect.signature(kafka_job_task).parameters
    operators = inspect.signature(KafkaJobOperator.__init__).parameters
    assert shown.keys() - {"python_callable"} == operators.keys() - {"self", "payload"}
    for name in shown.keys() - {"python_callable"}:
        assert (shown[name].default, shown[name].annotation) == (
            operators[name].default,
            operators[name].annotation,
        )


# Without a worker at the end.


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"deferrable": False}, "deferrable=False"),
        ({"result_handler": str}, "result_handler"),
        ({"wait_before_deferring": 2}, "wait_before_deferring"),
        ({"outlets": [Asset("x")]}, "outlets"),
        ({"multiple_outputs": True}, "multiple_outputs"),
        ({"reply": "plain", "encoding": "json"}, "reply='plain'"),
    ],
)
def test_end_from_trigger_is_refused_with_arguments_that_need_a_worker(
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
def test_payload_is_published_as_its_model_has_it(kafka: Kafka, value: Any) -> None:
    """It goes out as its model has it: a template's text becomes the number it stands for."""
    assert payload(kafka, value) == b'{"images":["a"],"width":64}'


def test_defaults_of_the_model_are_published(kafka: Kafka) -> None:
    """What the payload leaves out is filled in, so that both sides mean the same."""
    assert payload(kafka, {"images": []}) == b'{"images":[],"width":128}'


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"images": ["a", 2], "width": "wide"},
            "the payload does not match Thumbnails: images.1: Input should be a valid string, got 2"
            "; width: Input should be a valid integer, unable to parse string as an integer, "
            "got 'wide'",
        ),
        (
            {"width": 1},
            "the payload does not match Thumbnails: images: Field required, got {'width': 1}",
        ),
    ],
)
def test_payload_that_does_not_match_fails_before_anything_is_published(
    kafka: Kafka, value: Any, words: str
) -> None:
    """The task fails before anything is sent, and the error names each wrong field."""
    made = KafkaJobOperator(task_id="work", job_type="x", payload=value, payload_model=Thumbnails)
    with pytest.raises(InvalidPayload) as caught:
        made.execute(context())
    assert str(caught.value) == words
    assert kafka.journal == []
