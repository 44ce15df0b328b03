"""The sensor on a real Airflow: its own timeout, and what soft_fail does then."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.testing.local_airflow import LocalAirflow

pytestmark = pytest.mark.airflow_versions
MESSAGE = "did not finish within the sensor's timeout of 5 s"


@pytest.fixture(scope="module")
def run_id(airflow: LocalAirflow) -> str:
    """One run of all sensors."""
    run_id = airflow.trigger("sensors")
    assert airflow.wait_for_run("sensors", run_id, 240) == "failed"
    return run_id


def task(airflow: LocalAirflow, run_id: str, task_id: str) -> tuple[Any, str]:
    """Return a task's facts and its log."""
    (found,) = [t for t in airflow.task_instances("sensors", run_id) if t["task_id"] == task_id]
    return found, "\n".join(str(line) for line in airflow.task_log("sensors", run_id, task_id))


@pytest.mark.parametrize("task_id", ["skips", "skips_in_its_slot"])
def test_soft_fail_skips_the_task_after_the_timeout(
    airflow: LocalAirflow, run_id: str, task_id: str
) -> None:
    """The job is left alone: it belongs to another task."""
    found, log = task(airflow, run_id, task_id)
    assert found["state"] == "skipped"
    assert MESSAGE in log
    assert "CANCEL" not in log


def test_timeout_fails_the_task_without_retries_and_cancels_the_job_if_asked_to(
    airflow: LocalAirflow, run_id: str
) -> None:
    """As with all of Airflow's sensors, a retry would only wait again."""
    found, log = task(airflow, run_id, "fails")
    assert (found["state"], found["try_number"]) == ("failed", 1)
    assert MESSAGE in log
    assert "CANCEL published" in log
