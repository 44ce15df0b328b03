"""Batches on a real Airflow: one task, many jobs, whatever dies meanwhile.

All runs begin at once.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import airflow as installed_airflow
import pytest

from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, JobState
from kafka_bridge.protocol.topics import RESPONSE_TOPIC
from kafka_bridge.testing import Broker
from kafka_bridge.testing.local_airflow import Component, LocalAirflow

from .topic_contents import records_of, requests_of_run

pytestmark = pytest.mark.airflow_versions
DAGS = (
    "batch_marked",
    "batch_fails_fast",
    "batch_collects",
    "batch_files",
    "batch_without_triggerer",
)
Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def runs(
    airflow: LocalAirflow,
    batch_service: subprocess.Popen[bytes],
    file_auditor: subprocess.Popen[bytes],
) -> dict[str, str]:
    """Begin one run of each DAG, with workers for the jobs."""
    return {dag_id: airflow.trigger(dag_id) for dag_id in DAGS}


def requests(broker: Broker, run_id: str) -> list[JobRequest]:
    """Return the requests of a run."""
    return requests_of_run(broker.bootstrap_servers, "batch.requests", run_id)


def log(airflow: LocalAirflow, dag_id: str, run_id: str, try_number: int = 1) -> str:
    """Return a task's log."""
    return "\n".join(map(str, airflow.task_log(dag_id, run_id, "work", try_number)))


def test_batch_survives_a_triggerer_killed_amid_two_thousand_jobs(
    airflow: LocalAirflow, runs: dict[str, str], eventually: Eventually
) -> None:
    """A triggerer killed with -9 amid a batch costs nothing: all results come, in order, once."""
    dag_id, run_id = "batch_collects", runs["batch_collects"]
    airflow.wait_for_task(dag_id, run_id, "work", {"deferred"}, 240)
    eventually(lambda: " jobs done" in log(airflow, dag_id, run_id), "it waits")
    airflow.kill(Component.TRIGGERER)
    airflow.wait_for_task(dag_id, run_id, "work", {"deferred"}, 0)
    airflow.start(Component.TRIGGERER)
    assert airflow.wait_for_run(dag_id, run_id, 240) == "success"
    results = airflow.xcom(dag_id, run_id, "work")
    for number, result in enumerate(results):
        if number % 20 == 7:
            words = {"type": "unlucky", "message": f"{number} is unlucky", "retryable": True}
            assert result == {"error": words}
        else:
            assert result == 2 * number
    assert len(results) == 2000
    assert "of 2000 jobs: 1,900 SUCCEEDED, 100 FAILED" in log(airflow, dag_id, run_id)


def test_retry_of_a_batch_runs_only_jobs_that_did_not_succeed(
    airflow: LocalAirflow, runs: dict[str, str], jobs_broker: Broker
) -> None:
    """The first failure fails the task; its retry does what is left, and nothing that succeeded."""
    dag_id, run_id = "batch_fails_fast", runs["batch_fails_fast"]
    assert airflow.wait_for_run(dag_id, run_id, 240) == "success"
    assert airflow.xcom(dag_id, run_id, "work") == [2 * number for number in range(200)]
    attempts = Counter(request.attempt for request in requests(jobs_broker, run_id))
    assert attempts[1] == 200
    assert 10 <= attempts[2] < 200
    assert "of 200 jobs failed: " in log(airflow, dag_id, run_id)


def test_marking_a_batch_failed_cancels_every_job(
    airflow: LocalAirflow, runs: dict[str, str], jobs_broker: Broker, eventually: Eventually
) -> None:
    """When somebody marks the task failed, the worker confirms for every job that it is stopped."""
    dag_id, run_id = "batch_marked", runs["batch_marked"]
    airflow.wait_for_task(dag_id, run_id, "work", {"deferred"}, 240)
    eventually(lambda: " 20 running" in log(airflow, dag_id, run_id), "all run")
    airflow.mark_task(dag_id, run_id, "work", "failed")
    jobs = {r.correlation_id.encode() for r in requests(jobs_broker, run_id)}

    def ends() -> Counter[JobState]:
        records = records_of(jobs_broker.bootstrap_servers, RESPONSE_TOPIC)
        return Counter(
            head.state
            for record in records
            if record.key in jobs and (head := read_head(record.value)).state in TERMINAL
        )

    eventually(lambda: ends() == {JobState.CANCELLED: 20}, "all are cancelled")


def test_batch_runs_without_a_triggerer(
    airflow: LocalAirflow, runs: dict[str, str], jobs_broker: Broker
) -> None:
    """A worker waits for the batch itself; the handler's result is the XCom, and the link leads on.

    What the model made of the payloads is what the service got.
    """
    dag_id, run_id = "batch_without_triggerer", runs["batch_without_triggerer"]
    assert airflow.wait_for_run(dag_id, run_id, 240) == "success"
    assert airflow.xcom(dag_id, run_id, "work") == sum(40 * number for number in range(200))
    assert "Waiting for batch " in log(airflow, dag_id, run_id)
    sent = requests(jobs_broker, run_id)
    assert {request.payload for request in sent} == {b"%d" % (20 * n) for n in range(200)}
    (batch_id,) = {request.attributes["batch_id"] for request in sent}
    task = airflow.task_instance(dag_id, run_id, "work")
    assert task is not None
    assert batch_id in str(task["rendered_fields"]["batch"])
    links = airflow.api.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/work/links")
    assert links["extra_links"] == {"Kafka batch": f"http://127.0.0.1/batches/{batch_id}"}


def test_example_batch_equals_an_independent_count(
    airflow: LocalAirflow, runs: dict[str, str]
) -> None:
    """The example's total is that of an independent count, though one of its jobs has failed."""
    run_id = runs["batch_files"]
    assert airflow.wait_for_run("batch_files", run_id, 240) == "success"
    root = Path(installed_airflow.__path__[0])
    folders = [path for path in root.iterdir() if path.is_dir()]
    count = sum(1 for folder in folders for path in folder.rglob("*") if path.is_file())
    assert airflow.xcom("batch_files", run_id, "total") == count
    *_, last = airflow.xcom("batch_files", run_id, "audit")
    assert last["error"]["type"] == "directory_not_found"
