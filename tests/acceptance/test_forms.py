"""Each form of a job in ``dags/``, run on a real Airflow; and what a person sees of a job there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow as installed_airflow
import pytest

from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.protocol.topics import REQUEST_TOPIC
from kafka_bridge.testing import Broker
from kafka_bridge.testing.local_airflow import LocalAirflow

from .topic_contents import requests_of_run

pytestmark = pytest.mark.airflow_versions
MODELS = Path(installed_airflow.__path__[0]) / "models"
FULL = ("--full", "--output", "json")
DAGS = (
    "publish_job",
    "decorated_job",
    "without_triggerer",
    "end_from_trigger",
    "checked_payload",
)


def count() -> int:
    """Count the files that the jobs count."""
    return sum(1 for path in MODELS.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def runs(airflow: LocalAirflow, file_auditor: object) -> dict[str, str]:
    """Begin one run of each DAG."""
    return {dag_id: airflow.trigger(dag_id) for dag_id in DAGS}


def ended(airflow: LocalAirflow, runs: dict[str, str], dag_id: str) -> str:
    """Wait for the success of a DAG's run; return its id."""
    assert airflow.wait_for_run(dag_id, runs[dag_id], 240) == "success"
    return runs[dag_id]


def request_of(broker: Broker, run_id: str) -> JobRequest:
    """Return the one request of a run."""
    (request,) = requests_of_run(broker.bootstrap_servers, REQUEST_TOPIC, run_id)
    return request


def report(airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str = "audit") -> Any:
    """Return a task's XCom."""
    return airflow.xcom(dag_id, run_id, task_id)


def test_decorated_task_returns_the_result_of_the_job(
    airflow: LocalAirflow, runs: dict[str, str]
) -> None:
    """The result of the job is what the decorated function's task returns."""
    run_id = ended(airflow, runs, "decorated_job")
    assert report(airflow, "decorated_job", run_id)["files"] == count()


def test_sensors_in_two_dags_get_the_result_of_one_published_job(
    airflow: LocalAirflow, runs: dict[str, str], jobs_broker: Broker
) -> None:
    """One job, two that wait: a sensor in the same DAG and one in another get the same result."""
    run_id = ended(airflow, runs, "publish_job")
    handle = report(airflow, "publish_job", run_id, "publish")
    assert handle["correlation_id"] == request_of(jobs_broker, run_id).correlation_id
    here = report(airflow, "publish_job", run_id, "wait")
    assert here["files"] == count()
    (other,) = airflow.api.get("dags/wait_for_job/dagRuns")["dag_runs"]
    other_id = other["dag_run_id"]
    assert airflow.wait_for_run("wait_for_job", other_id, 240) == "success"
    assert report(airflow, "wait_for_job", other_id, "wait") == here


def test_task_that_does_not_defer_logs_progress_and_returns_the_result(
    airflow: LocalAirflow, runs: dict[str, str]
) -> None:
    """The task never defers, shows the progress in its log, and returns the result."""
    run_id = ended(airflow, runs, "without_triggerer")
    assert report(airflow, "without_triggerer", run_id)["files"] == count()
    log = text_of(airflow, "without_triggerer", run_id)
    assert "Accepted by worker" in log
    assert "DEFERRED" not in log


def test_task_that_ends_in_the_triggerer_is_never_resumed(
    airflow: LocalAirflow, runs: dict[str, str]
) -> None:
    """The result is there, as JSON text, and the task's process ran once: nothing was resumed."""
    run_id = ended(airflow, runs, "end_from_trigger")
    assert json.loads(report(airflow, "end_from_trigger", run_id))["files"] == count()
    log = text_of(airflow, "end_from_trigger", run_id)
    assert log.count("DAG bundles loaded") == 1  # by each process of a task
    assert "Pausing task as DEFERRED" in log


def test_payload_is_validated_and_the_result_handler_gets_the_result(
    airflow: LocalAirflow, runs: dict[str, str], jobs_broker: Broker
) -> None:
    """A template's text arrives as the number that the model wants; the handler has the result."""
    run_id = ended(airflow, runs, "checked_payload")
    assert b'"files_per_second":500.0' in (request_of(jobs_broker, run_id).payload or b"")
    assert report(airflow, "checked_payload", run_id) == ".py"


def test_invalid_payload_fails_the_task_before_anything_is_published(
    airflow: LocalAirflow, file_auditor: object
) -> None:
    """A wrong field fails the task before anything is sent, and is named in its log."""
    run_id = airflow.trigger("checked_payload", conf={"files_per_second": "many"})
    airflow.wait_for_task("checked_payload", run_id, "audit", {"up_for_retry", "failed"}, 240)
    assert (
        "InvalidPayload: the payload does not match Audit: files_per_second: Input should be a "
        "valid number, unable to parse string as a number, got 'many'"
    ) in text_of(airflow, "checked_payload", run_id)


def test_page_of_the_task_shows_the_job_and_links_to_its_records(
    airflow: LocalAirflow, runs: dict[str, str], jobs_broker: Broker
) -> None:
    """The rendered view shows the job, and the extra link leads to its records."""
    run_id = ended(airflow, runs, "decorated_job")
    job = request_of(jobs_broker, run_id).correlation_id
    task = airflow.task_instance("decorated_job", run_id, "audit")
    assert task is not None
    assert job in str(task["rendered_fields"]["job"])
    url = f"dags/decorated_job/dagRuns/{run_id}/taskInstances/audit/links"
    links = airflow.api.get(url)["extra_links"]
    assert links == {"Kafka job": f"http://127.0.0.1/topics/jobs.responses?key={job}"}


def test_request_names_the_task_and_the_deployment(
    airflow: LocalAirflow, runs: dict[str, str], jobs_broker: Broker
) -> None:
    """The service sees which task of which Airflow asks, with the address of its page."""
    run_id = ended(airflow, runs, "decorated_job")
    task = request_of(jobs_broker, run_id).task
    assert task is not None
    assert (task.source, task.dag_id, task.task_id) == ("acceptance", "decorated_job", "audit")
    assert task.url is not None
    assert task.url.startswith(f"{airflow.base_url}/dags/decorated_job/runs/")


def text_of(airflow: LocalAirflow, dag_id: str, run_id: str) -> str:
    """Return the log of the task that audits."""
    return "\n".join(str(line) for line in airflow.task_log(dag_id, run_id, "audit"))


def test_providers_get_lists_what_the_provider_brings(airflow: LocalAirflow) -> None:
    """`airflow providers get` tells of the sensors, the decorator, the link, the configuration."""
    result = subprocess.run(
        [sys.executable, "-m", "airflow", "providers", "get", "airflow-kafka-bridge", *FULL],
        env={**os.environ, "AIRFLOW_HOME": str(airflow.home), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for words in ("kafka_bridge.airflow.sensors", "kafka_job", "JobLink", "heartbeat_timeout"):
        assert words in result.stdout
