"""A task and its job part: retries, clears, kills, time-outs, on a real Airflow.

All runs begin at once: each waits for something else, and most wait most of the time.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.protocol.topics import CONTROL_TOPIC, RESPONSE_TOPIC
from kafka_bridge.testing import Broker
from kafka_bridge.testing.local_airflow import Component, LocalAirflow

from .topic_contents import commands_for, events_of_job, records_of, requests_of_run

Eventually = Callable[..., None]
TIME_OUTS = ("overdue", "silent", "nobody")
DAGS = (
    *TIME_OUTS,  # they take longest
    "dies_before_deferral",
    "dies_before_publish",
    "first_fails",
    "cleared",
    "cleared_while_running",
    "marked_failed",
    "marked_success",
    "killed_while_running",
    "left_alone",
)


@dataclass
class Run:
    """One run of a DAG with one task, seen from outside: by Airflow's API and in the topics."""

    airflow: LocalAirflow
    servers: str
    eventually: Eventually
    dag_id: str
    run_id: str
    request_topic: str = "patient.requests"

    def requests(self) -> list[JobRequest]:
        """Return its requests, in order."""
        found = requests_of_run(self.servers, self.request_topic, self.run_id)
        return sorted(found, key=lambda request: request.attempt)

    def until_at_work(self, attempts: int = 1) -> JobRequest:
        """Wait until a worker has accepted the job of that attempt; return its request."""
        self.eventually(lambda: len(self.requests()) == attempts, f"{self.dag_id}: requests", 60)
        request = self.requests()[-1]
        self.eventually(lambda: self.states(request), f"{self.dag_id}: accepted", 30)
        return request

    def until_ended(self, request: JobRequest, timeout: float) -> JobState:
        """Wait until a job has ended; return how."""
        self.eventually(lambda: self.end(request), f"{self.dag_id}: its job ended", timeout)
        return self.end(request)[0]

    def states(self, request: JobRequest) -> list[JobState]:
        """Return what was said of a job."""
        events = events_of_job(self.servers, RESPONSE_TOPIC, request.correlation_id)
        return [event.state for event in events]

    def end(self, request: JobRequest) -> list[JobState]:
        """Return its terminal states."""
        return [state for state in self.states(request) if state in TERMINAL]

    def reasons(self, request: JobRequest) -> list[str | None]:
        """Return why it was cancelled, each time."""
        commands = commands_for(self.servers, CONTROL_TOPIC, request.correlation_id)
        return [command.reason for command in commands]

    def wait_for_task(self, *states: str) -> None:
        """Wait until its task is in one of these states."""
        self.airflow.wait_for_task(self.dag_id, self.run_id, "work", set(states), 90)

    def wait(self) -> str:
        """Wait for its end; return how it ended."""
        return self.airflow.wait_for_run(self.dag_id, self.run_id, 120)

    def mark(self, state: str) -> None:
        """Set the task's state."""
        self.airflow.mark_task(self.dag_id, self.run_id, "work", state)

    def clear(self) -> None:
        """Clear the task."""
        self.airflow.clear_task(self.dag_id, self.run_id, "work")

    def result(self) -> object:
        """Return the task's XCom."""
        return self.airflow.xcom(self.dag_id, self.run_id, "work")

    def log(self, try_number: int = 1) -> str:
        """Return the log of one try."""
        lines = self.airflow.task_log(self.dag_id, self.run_id, "work", try_number)
        return "\n".join(str(line) for line in lines)


@pytest.fixture(scope="module")
def begin(
    airflow: LocalAirflow,
    jobs_broker: Broker,
    patient_service: subprocess.Popen[bytes],
    eventually: Eventually,
) -> Callable[[str], Run]:
    """Give a function that begins a run of a DAG."""

    def begin(dag_id: str) -> Run:
        topic = "jobs.nobody" if dag_id in ("silent", "nobody") else "patient.requests"
        return Run(
            airflow,
            jobs_broker.bootstrap_servers,
            eventually,
            dag_id,
            airflow.trigger(dag_id),
            topic,
        )

    return begin


@pytest.fixture(scope="module")
def runs(begin: Callable[[str], Run]) -> dict[str, Run]:
    """Begin one run of each DAG; what was asked of nobody is accepted, and that is all."""
    begun = {dag_id: begin(dag_id) for dag_id in DAGS}
    accept(begun["silent"])
    return begun


def accept(run: Run) -> None:
    """Accept a run's job, as a worker does that dies after it."""
    run.eventually(run.requests, "the request is published", 60)
    (request,) = run.requests()
    accepted = StatusEvent(
        correlation_id=request.correlation_id,
        event_id="e-1",
        sequence=0,
        state=JobState.ACCEPTED,
        occurred_at=utc_now(),
        worker_id="sleepy-1",
    )
    key = request.correlation_id.encode()
    with RecordProducer(KafkaConfig({"bootstrap.servers": run.servers})) as producer:
        producer.publish(RESPONSE_TOPIC, key, encode(accepted), [])


def test_process_that_dies_before_the_deferral(runs: dict[str, Run]) -> None:
    """A job whose task dies right after the publish is waited for by the retry, and runs once."""
    run = runs["dies_before_deferral"]
    assert run.wait() == "success"
    (request,) = run.requests()
    states = run.states(request)
    assert (states.count(JobState.ACCEPTED), states.count(JobState.SUCCEEDED)) == (1, 1)
    assert run.result() == 1
    assert run.reasons(request) == []
    assert f"Job {request.correlation_id} of an earlier try is taken up again" in run.log(2)


def test_process_that_dies_before_the_publish(runs: dict[str, Run]) -> None:
    """A job that was stored and not published is published by the retry, and runs once."""
    run = runs["dies_before_publish"]
    assert run.wait() == "success"
    (request,) = run.requests()
    assert request.attempt == 1
    assert request.task is not None
    assert request.task.try_number == 2
    assert run.states(request).count(JobState.ACCEPTED) == 1
    assert f"Job {request.correlation_id} of an earlier try had not reached Kafka" in run.log(2)


def test_retry_after_a_failure(runs: dict[str, Run]) -> None:
    """A job that failed and may be tried again is followed by another, which succeeds."""
    run = runs["first_fails"]
    assert run.wait() == "success"
    first, second = run.requests()
    assert (first.attempt, second.attempt) == (1, 2)
    assert (run.end(first), run.end(second)) == ([JobState.FAILED], [JobState.SUCCEEDED])
    assert run.result() == 2
    assert "disk_full: the disk is full" in run.log(1)
    assert run.reasons(first) == []


@pytest.mark.parametrize("dag_id", ["cleared", "cleared_while_running"])
def test_clear(runs: dict[str, Run], dag_id: str) -> None:
    """A cleared task's job is cancelled, and another runs; deferred, or waiting in a worker."""
    run = runs[dag_id]
    first = run.until_at_work()
    run.wait_for_task("deferred" if dag_id == "cleared" else "running")
    run.clear()
    assert run.until_ended(first, 30) is JobState.CANCELLED
    second = run.until_at_work(attempts=2)
    assert run.wait() == "success"
    assert run.end(second) == [JobState.SUCCEEDED]
    assert run.result() == 2
    assert run.reasons(second) == []


def test_triggerers_that_come_and_go(
    airflow: LocalAirflow, begin: Callable[[str], Run], eventually: Eventually
) -> None:
    """A triggerer that wakes after another one has taken over cancels nothing: the job goes on.

    Nor does one that is told to end, as in a rolling restart: the next one takes over.
    """
    run = begin("moved")
    request = run.until_at_work()
    run.wait_for_task("deferred")
    starts = f"trigger moved/{run.run_id}/work/-1/1 "
    eventually(lambda: starts in run.log(), "the trigger runs", 30)
    second = airflow.another(Component.TRIGGERER)
    airflow.pause(Component.TRIGGERER)
    try:
        second.start()
        eventually(lambda: run.log().count(starts) == 2, "the second triggerer takes over", 60)
        airflow.resume(Component.TRIGGERER)
        goes_on = f"Job {request.correlation_id} goes on: its task is still deferred"
        eventually(lambda: goes_on in run.log(), "the first one gives it up", 30)
        second.stop(5)
        assert run.wait() == "success"
    finally:
        airflow.resume(Component.TRIGGERER)
        second.stop(5)
    assert run.reasons(request) == []
    assert run.states(request).count(JobState.ACCEPTED) == 1


@pytest.mark.parametrize(
    ("dag_id", "state"),
    [
        ("marked_failed", "failed"),
        ("marked_success", "success"),
        ("killed_while_running", "failed"),
    ],
)
def test_marked(runs: dict[str, Run], dag_id: str, state: str) -> None:
    """A task that a person ends, deferred or not: its worker confirms CANCELLED within 5 s.

    Once a triggerer has asked Airflow's API something, that is: building it takes some seconds, the
    first time. The test before this one has seen to that.
    """
    run = runs[dag_id]
    request = run.until_at_work()
    run.wait_for_task("running" if dag_id == "killed_while_running" else "deferred")
    begin = time.time()
    run.mark(state)
    assert run.until_ended(request, 15) is JobState.CANCELLED
    (end,) = [e for e in events(run, request) if e.state is JobState.CANCELLED]
    assert end.occurred_at.timestamp() - begin < 5
    assert run.wait() == state
    assert set(run.reasons(request)) <= {
        "the task was marked, cleared or removed",
        "the task was killed",
    }


def events(run: Run, request: JobRequest) -> list[StatusEvent]:
    """Return what was said of a job, whole."""
    return events_of_job(run.servers, RESPONSE_TOPIC, request.correlation_id)


def test_mark_that_is_to_cancel_nothing(runs: dict[str, Run]) -> None:
    """With cancel_on_kill=False the job goes on when its task is marked."""
    run = runs["left_alone"]
    request = run.until_at_work()
    run.wait_for_task("deferred")
    run.mark("failed")
    assert run.wait() == "failed"
    assert run.reasons(request) == []
    assert run.end(request) == []


def test_overdue(runs: dict[str, Run]) -> None:
    """A job that runs too long fails its task in words, is cancelled and stops."""
    run = runs["overdue"]
    request = run.until_at_work()
    assert run.wait() == "failed"
    assert "KafkaJobTimedOut: deadline_exceeded: the job ran longer than 5 s on worker" in run.log()
    assert "allow more time with start_to_close_timeout" in run.log()
    assert run.until_ended(request, 10) is JobState.CANCELLED
    (reason,) = run.reasons(request)
    assert reason is not None
    assert reason.startswith("deadline_exceeded: the job ran longer than 5 s")


def test_silent_worker(runs: dict[str, Run]) -> None:
    """A worker that accepts and says no more is lost: in words, and its job gets CANCEL."""
    run = runs["silent"]
    assert run.wait() == "failed"
    words = "worker_lost: worker sleepy-1 has been silent for 2 s"
    assert f"KafkaJobTimedOut: {words}. Look at that worker's log." in run.log()
    assert run.reasons(run.requests()[0]) == [words]


def test_nobody_there(runs: dict[str, Run]) -> None:
    """A job that nobody takes says what Kafka knows of its topic, and gets CANCEL."""
    run = runs["nobody"]
    assert run.wait() == "failed"
    words = "not_started: no worker accepted the job within 2 s"
    assert (
        f"KafkaJobTimedOut: {words}. Topic 'jobs.nobody' exists, but no consumer group reads it. "
        "Start the service's workers, or correct the name of the topic."
    ) in run.log()
    assert run.reasons(run.requests()[0]) == [words]


@pytest.mark.long
def test_hundred_mapped_tasks(begin: Callable[[str], Run]) -> None:
    """A hundred mapped tasks have a hundred results, and each job runs once."""
    run = begin("hundred_jobs")
    assert run.airflow.wait_for_run(run.dag_id, run.run_id, 290) == "success"
    results = [run.airflow.xcom(run.dag_id, run.run_id, "work", map_index=n) for n in range(100)]
    assert results == list(range(100))
    assert sorted(accepted(run).values()) == [1] * 100


@pytest.mark.long
def test_run_with_a_hundred_jobs_is_ended(begin: Callable[[str], Run]) -> None:
    """A person ends a run: each of its jobs is cancelled, those at work and those in the queue."""
    run = begin("hundred_waiting")
    run.eventually(lambda: deferred(run) == 100, "all are deferred", 200)
    run.airflow.mark_run(run.dag_id, run.run_id, "failed")
    ids = {request.correlation_id for request in run.requests()}

    def cancelled() -> set[str]:
        return {e.correlation_id for e in all_events(run) if e.state is JobState.CANCELLED}

    run.eventually(lambda: ids <= cancelled(), "all are cancelled", 60)


def deferred(run: Run) -> int:
    """Return how many tasks of a run are deferred."""
    tasks = run.airflow.task_instances(run.dag_id, run.run_id)
    return sum(1 for task in tasks if task["state"] == "deferred")


def all_events(run: Run) -> list[StatusEvent]:
    """Return all that any worker has said, as far as it can be read."""
    found = []
    for record in records_of(run.servers, RESPONSE_TOPIC):
        with contextlib.suppress(RemoteProtocolError):
            found.append(record.decode(StatusEvent))
    return found


def accepted(run: Run) -> Counter[str]:
    """Return how often each job of a run was accepted."""
    ids = {request.correlation_id for request in run.requests()}
    states = (e for e in all_events(run) if e.state is JobState.ACCEPTED)
    return Counter(e.correlation_id for e in states if e.correlation_id in ids)
