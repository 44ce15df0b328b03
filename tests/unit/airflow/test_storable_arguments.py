"""A DAG file's literals that Airflow cannot store: refused when the file is parsed, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
from airflow.sdk import DAG, task

from kafka_bridge.airflow import (
    KafkaJobBatchOperator,
    KafkaJobOperator,
    KafkaJobPublishOperator,
    KafkaJobSensor,
)
from kafka_bridge.protocol.errors import ConfigurationError

from .samples import context
from .stand_ins import Kafka

WHAT_TO_DO = (
    ". Airflow cannot store that with the task: leave it out, or encode it, for "
    "example as text or base64"
)
LITERALS: list[tuple[Any, str]] = [
    (math.nan, "payload.items[1].x: is nan, which is not a number in JSON"),
    ("a\0", "payload.items[1].x: contains NUL"),
    (2**70, "payload.items[1].x: is an integer of 71 bits, and at most 64 are possible"),
]


@pytest.mark.parametrize("operator", [KafkaJobOperator, KafkaJobPublishOperator])
@pytest.mark.parametrize(("literal", "words"), LITERALS)
def test_payload_that_airflow_cannot_store_is_refused(
    operator: Callable[..., Any], literal: Any, words: str
) -> None:
    """The operator is not made, and the error says which part of the payload is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        operator(task_id="work", job_type="a.b", payload={"items": [0, {"x": literal}]})
    assert str(caught.value) == words + WHAT_TO_DO


@task.kafka_job(job_type="a.b")
def returns(value: Any) -> Any:
    """Return the payload."""
    return value


def partial(**arguments: Any) -> Any:
    """Begin to map a task."""
    return KafkaJobOperator.partial(task_id="work", **arguments)


SIBLINGS: dict[str, tuple[Callable[[], Any], str]] = {
    "topic": (
        lambda: KafkaJobOperator(task_id="work", job_type="a.b", request_topic="a\0"),
        "request_topic: contains NUL",
    ),
    "control topic": (
        lambda: KafkaJobOperator(task_id="work", job_type="a.b", control_topic="\ud800"),
        "control_topic: contains ",
    ),
    "batch": (
        lambda: KafkaJobBatchOperator(task_id="work", job_type="a.b", payloads=[1, {"x": "\0"}]),
        "payloads[1].x: contains NUL",
    ),
    "file of a batch": (
        lambda: KafkaJobBatchOperator(task_id="work", job_type="a.b", payloads_file="\0.jsonl"),
        "payloads_file: contains NUL",
    ),
    "sensor": (lambda: KafkaJobSensor(task_id="work", job={"x": "\0"}), "job.x: contains NUL"),
    "decorator": (lambda: returns({"x": [2**64]}), "op_args[0].x[0]: is an integer of 65 bits"),
    "partial": (lambda: partial(job_type="a.b", payload="\0"), "payload: contains NUL"),
    "partial, an argument that is no template": (
        lambda: partial(job_type="a.b", kafka_config_id="a\0"),
        "kafka_config_id: contains NUL",
    ),
    "expand": (
        lambda: partial(job_type="a.b").expand(payload=[1, {"x": "\0"}]),
        "payload[1].x: contains NUL",
    ),
    "expand_kwargs": (
        lambda: partial(job_type="a.b").expand_kwargs([{"payload": 2**70}]),
        "expand_kwargs[0].payload: is an integer of 71 bits",
    ),
}


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("name", SIBLINGS)
def test_every_templated_argument_is_checked(name: str) -> None:
    """All templated arguments of all operators are checked, mapped tasks' too."""
    make, words = SIBLINGS[name]
    with DAG("parsed", schedule=None), pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value).startswith(words)


def test_mapped_task_keeps_its_arguments() -> None:
    """A mapped task that can be stored is an ordinary one."""
    with DAG("parsed", schedule=None):
        mapped = partial(job_type="a.b", heartbeat_timeout=100).expand(payload=[1, 2])
    made = mapped.unmap({"payload": 2})
    assert (made.payload, made.heartbeat_timeout) == (2, 100.0)


def test_rendered_templates_are_checked() -> None:
    """A template may bring such a value, too: the task fails in words, and nothing is sent."""
    with DAG("native", schedule=None, render_template_as_native_obj=True):
        made = KafkaJobOperator(task_id="work", job_type="a.b", payload={"x": "{{ 2 ** 70 }}"})
    with pytest.raises(ConfigurationError) as caught:
        made.render_template_fields(context())
    assert str(caught.value).startswith("payload.x: is an integer of 71 bits")


def test_payload_of_a_decorated_function_is_checked(kafka: Kafka) -> None:
    """What a decorated function returns is shown as a rendered field: it is checked, too."""

    @task.kafka_job(job_type="a.b")
    def big() -> Any:
        return {"x": 2**70}

    with DAG("decorated", schedule=None):
        made = cast(KafkaJobOperator, cast(Any, big()).operator)
    with pytest.raises(ConfigurationError) as caught:
        made.execute(context())
    assert str(caught.value).startswith("payload.x: is an integer of 71 bits")
    assert not kafka.requests
