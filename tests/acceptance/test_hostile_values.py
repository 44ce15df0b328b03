"""What a worker may send, on a real Airflow: it fails its own task, once, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState, StatusEvent, utc_now
from kafka_bridge.protocol.topics import RESPONSE_TOPIC
from kafka_bridge.testing import Broker
from kafka_bridge.testing.local_airflow import Component, LocalAirflow

from .runs import Run

NOT_STORABLE = "the job succeeded, but Airflow cannot store its result: result"
WORDS = {
    "integer_0": f"{NOT_STORABLE}.id: is an integer of 65 bits, and at most 64 are possible",
    "integer_1": f"{NOT_STORABLE}.id: is an integer of 65 bits, and at most 64 are possible",
    "integer_2": f"{NOT_STORABLE}.id: is an integer of 65 bits, and at most 64 are possible",
    "reserved": f"{NOT_STORABLE}: has the key '__classname__', which Airflow reserves",
    "float": f"{NOT_STORABLE}.x: is 1e+30, for Postgres an integer of 100 bits",
    "nul": f"{NOT_STORABLE}.items[1].name: contains NUL",
    "deep": "is nested too deep: at most 200 levels are possible. Let a result_handler",
    "batch": (
        "1 of 3 jobs succeeded, but Airflow cannot store their results: 1 × result_not_storable. "
        "First error: payloads[1]: result_not_storable: result.items[1].name: contains NUL"
    ),
}
DIED = "Trigger runner process has died"


@pytest.fixture(scope="module")
def run_id(airflow: LocalAirflow, workers: object) -> str:
    """One run of all of them, which has ended."""
    run_id = airflow.trigger("hostile_values")
    assert airflow.wait_for_run("hostile_values", run_id, 240) == "failed"
    return run_id


def log_of(airflow: LocalAirflow, run_id: str, task: str) -> str:
    """Return the log of a task's only try."""
    return "\n".join(map(str, airflow.task_log("hostile_values", run_id, task)))


@pytest.mark.parametrize("task", WORDS)
def test_task_fails_once_with_a_clear_error(airflow: LocalAirflow, run_id: str, task: str) -> None:
    """The error says what of the result cannot be stored, and where; no retry repeats it."""
    instance = airflow.task_instance("hostile_values", run_id, task)
    assert instance is not None
    assert (instance["state"], instance["try_number"]) == ("failed", 1)
    log = log_of(airflow, run_id, task)
    assert WORDS[task] in log
    assert "Let a result_handler turn it into a value that can be stored" in log


def test_other_tasks_of_the_triggerer_get_their_results(airflow: LocalAirflow, run_id: str) -> None:
    """A task that waits in the same triggerer gets its result, and the triggerer is the same."""
    instance = airflow.task_instance("hostile_values", run_id, "bystander")
    assert instance is not None
    assert instance["state"] == "success"
    assert DIED not in airflow.log_path(Component.TRIGGERER).read_text(errors="replace")


def test_other_results_of_a_batch_are_kept(airflow: LocalAirflow, run_id: str) -> None:
    """They are the XCom of the task, which fails; the one that is missing says why."""
    first, lost, last = airflow.xcom("hostile_values", run_id, "batch")
    assert (first, last) == (1, 3)
    assert lost["error"]["type"] == "result_not_storable"


@pytest.fixture
def response(jobs_broker: Broker) -> Iterator[Callable[[StatusEvent], None]]:
    """Give a function that publishes a status event, as a worker would."""
    config = KafkaConfig({"bootstrap.servers": jobs_broker.bootstrap_servers})
    with RecordProducer(config) as producer:

        def publish(event: StatusEvent) -> None:
            producer.publish(RESPONSE_TOPIC, event.correlation_id.encode(), encode(event), [])

        yield publish


@pytest.mark.long
def test_odd_name_of_a_silent_worker_is_shown_safely(
    airflow: LocalAirflow,
    begin: Callable[..., Run],
    eventually: Callable[..., None],
    response: Callable[[StatusEvent], None],
) -> None:
    """NUL and escape codes in a worker's name are shown as what they are, in the time-out, too."""
    run = begin("silent_worker", "jobs.nobody")
    eventually(run.requests, "its request is published")
    (request,) = run.requests()
    response(
        StatusEvent(
            correlation_id=request.correlation_id,
            event_id=new_correlation_id(),
            sequence=0,
            state=JobState.ACCEPTED,
            occurred_at=utc_now(),
            worker_id="w\x00\x1b[31m\n::group::",
        )
    )
    assert run.wait() == "failed"
    worker = r"worker w\x00\x1b[31m\n: :group::"
    assert f"worker_lost: {worker} has published nothing for 5 s" in run.log()
    assert DIED not in airflow.log_path(Component.TRIGGERER).read_text(errors="replace")


UNSTORABLE = r"""
from airflow.sdk import DAG
from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="unstorable", schedule=None):
    KafkaJobOperator(
        task_id="work", job_type="a.b", payload={"items": [0, 1, 2, {"x": "a\0b"}]}
    )
"""


def test_value_in_a_dag_file_is_an_import_error_that_names_the_place(
    airflow: LocalAirflow, eventually: Callable[..., None]
) -> None:
    """The file has an import error that names the place; the DAG processor goes on."""
    file = airflow.dags / "unstorable.py"
    file.write_text(UNSTORABLE, encoding="utf-8")

    def errors() -> list[str]:
        airflow.check()
        found = airflow.api.import_errors()
        return [each["stack_trace"] for each in found if each["filename"] == file.name]

    try:
        eventually(errors, "the file was parsed")
        assert "ConfigurationError: payload.items[3].x: contains NUL. Airflow cannot" in errors()[0]
    finally:
        file.unlink()
