"""Tasks wait a moment in their own process before they defer, on a real Airflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from kafka_bridge.protocol.messages import JobState

from .runs import Run

pytestmark = pytest.mark.usefixtures("patient_service", "batch_service")

Begin = Callable[..., Run]
DEFERRED = "Pausing task as DEFERRED"
"""What Airflow logs when a task defers."""


@pytest.mark.airflow_versions
def test_quick_job_completes_its_task_without_a_deferral(begin: Begin) -> None:
    """The task publishes, waits and completes in one process, and its log shows the progress."""
    run = begin("quick_job")
    assert run.wait() == "success"
    assert run.result() == 1
    log = run.log()
    assert DEFERRED not in log
    assert log.count("Accepted by worker") == 1
    assert "in this worker slot for up to 120 s" in log


@pytest.mark.airflow_versions
def test_longer_job_defers_and_completes_its_task(begin: Begin) -> None:
    """A triggerer takes over what the task's own process has begun; the log has each line once."""
    run = begin("longer_job")
    run.wait_for_task("deferred")
    assert run.wait() == "success"
    assert run.result() == 1
    log = run.log()
    assert log.count(DEFERRED) == 1
    assert log.count("Accepted by worker") == 1
    (request,) = run.requests()
    assert run.states(request).count(JobState.ACCEPTED) == 1


@pytest.mark.airflow_versions
def test_task_defers_before_its_execution_timeout_ends_it(begin: Begin) -> None:
    """A job may take longer than that time, which Airflow enforces only while a process runs."""
    run = begin("job_with_execution_timeout")
    assert run.wait() == "success"
    assert DEFERRED in run.log()
    assert run.result() == 1


@pytest.mark.airflow_versions
def test_quick_batch_completes_its_task_without_a_deferral(begin: Begin) -> None:
    """The same holds for a batch."""
    run = begin("quick_batch", "batch.requests")
    assert run.wait() == "success"
    assert run.result() == [2 * number for number in range(7)]
    assert DEFERRED not in run.log()


@pytest.mark.parametrize(
    "times", [1, pytest.param(10, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]
)
def test_forty_mapped_quick_jobs_all_succeed(begin: Begin, times: int) -> None:
    """None of them is failed because it was resumed too soon, however often it is tried."""
    for _ in range(times):
        run = begin("forty_quick_jobs")
        assert run.airflow.wait_for_run(run.dag_id, run.run_id, 240) == "success"
        tasks = run.airflow.task_instances(run.dag_id, run.run_id)
        assert Counter((task["state"], task["try_number"]) for task in tasks) == {
            ("success", 1): 40
        }
        results = [run.airflow.xcom(run.dag_id, run.run_id, "work", map_index=n) for n in range(40)]
        assert results == list(range(40))
