"""A real Airflow at full size: a hundred mapped tasks, batches of ten thousand jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection

import pytest

from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.topics import RESPONSE_TOPIC
from kafka_bridge.testing.local_airflow import Component, LocalAirflow

from .runs import Run
from .topic_contents import records_of

Begin = Callable[..., Run]
JOBS = 10_000
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("patient_service", "batch_service")]


def states(run: Run) -> dict[str, Counter[JobState]]:
    """Return what was said of each job of a run, and how often."""
    wanted = {request.correlation_id for request in run.requests()}
    found: defaultdict[str, Counter[JobState]] = defaultdict(Counter)
    for record in records_of(run.servers, RESPONSE_TOPIC):
        job = (record.key or b"").decode(errors="replace")
        if job in wanted:
            found[job][read_head(record.value).state] += 1
    return found


def counts(run: Run, counted: Collection[JobState]) -> Counter[int]:
    """Return how many jobs were how often said to be in one of these states."""
    return Counter(sum(said[state] for state in counted) for said in states(run).values())


def test_hundred_mapped_tasks_run_each_job_once(begin: Begin) -> None:
    """A hundred mapped tasks have a hundred results, and each job runs once."""
    run = begin("hundred_jobs")
    assert run.airflow.wait_for_run(run.dag_id, run.run_id, 290) == "success"
    results = [run.airflow.xcom(run.dag_id, run.run_id, "work", map_index=n) for n in range(100)]
    assert results == list(range(100))
    assert counts(run, [JobState.ACCEPTED]) == {1: 100}


def test_ending_a_run_cancels_each_of_a_hundred_jobs(begin: Begin) -> None:
    """A person ends a run: each of its jobs is cancelled, at work or in the queue.

    Nobody waits until the triggerer, which takes up fifty at a time, runs them all.
    """
    run = begin("hundred_waiting")

    def tasks() -> Counter[str]:
        return Counter(t["state"] for t in run.airflow.task_instances(run.dag_id, run.run_id))

    run.eventually(lambda: tasks() == {"deferred": 100}, "all are deferred", 200)
    run.airflow.mark_run(run.dag_id, run.run_id, "failed")
    run.eventually(lambda: counts(run, [JobState.CANCELLED]) == {1: 100}, "all are cancelled")


def collected(number: int) -> object:
    """Return what a batch that collects has as the result of a job."""
    if number % 20 != 7:
        return 2 * number
    words = {"type": "unlucky", "message": f"{number} is unlucky", "retryable": True}
    return {"error": words}


def assert_all_collected(run: Run) -> None:
    """Check that the results are complete and in order, and that each job ran once."""
    assert run.airflow.wait_for_run(run.dag_id, run.run_id, 240) == "success"
    assert run.result() == [collected(number) for number in range(JOBS)]
    assert counts(run, [JobState.ACCEPTED]) == {1: JOBS}
    assert counts(run, TERMINAL) == {1: JOBS}


def test_batch_collects_ten_thousand_results_in_order(begin: Begin) -> None:
    """Ten thousand jobs, one in twenty of which fails: all results, in order, each job once."""
    assert_all_collected(begin("large_collects", "batch.requests"))


def test_batch_of_ten_thousand_survives_a_killed_triggerer(
    begin: Begin, airflow: LocalAirflow
) -> None:
    """A triggerer killed with -9 amid ten thousand jobs costs nothing: all results, each once."""
    run = begin("large_collects", "batch.requests")
    run.wait_for_task("deferred")
    run.eventually(lambda: " of 10,000 jobs done" in run.log(), "it is amid its jobs")
    airflow.kill(Component.TRIGGERER)
    run.wait_for_task("deferred")
    airflow.start(Component.TRIGGERER)
    assert_all_collected(run)


def test_large_batch_fails_fast_and_its_retry_runs_the_rest(begin: Begin) -> None:
    """The first failure ends the try; the retry does what is left, and each payload once."""
    run = begin("large_fails_fast", "batch.requests")
    assert run.airflow.wait_for_run(run.dag_id, run.run_id, 240) == "success"
    assert run.result() == [2 * number for number in range(JOBS)]
    said, done = states(run), Counter[bytes | None]()
    for request in run.requests():
        done[request.payload] += said[request.correlation_id][JobState.SUCCEEDED]
    assert set(done.values()) == {1}
    assert len(done) == JOBS
    assert all(each[JobState.ACCEPTED] <= 1 for each in said.values())
