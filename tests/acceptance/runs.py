"""A run of a DAG with one task, ``work``, seen from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent
from kafka_bridge.protocol.topics import CONTROL_TOPIC, RESPONSE_TOPIC
from kafka_bridge.testing.local_airflow import LocalAirflow

from .topic_contents import commands_for, events_of_job, requests_of_run

Eventually = Callable[..., None]


@dataclass
class Run:
    """One run: what Airflow's API tells of it, and what stands in the topics."""

    airflow: LocalAirflow
    servers: str
    eventually: Eventually
    dag_id: str
    run_id: str
    request_topic: str

    def requests(self) -> list[JobRequest]:
        """Return its requests, in order."""
        found = requests_of_run(self.servers, self.request_topic, self.run_id)
        return sorted(found, key=lambda request: request.attempt)

    def until_at_work(self, requests: int = 1) -> JobRequest:
        """Wait for so many requests and until the last one's job is accepted; return that one."""
        self.eventually(lambda: len(self.requests()) == requests, f"{self.dag_id}: requests")
        request = self.requests()[-1]
        self.eventually(lambda: self.states(request), f"{self.dag_id}: accepted")
        return request

    def until_ended(self, request: JobRequest) -> JobState:
        """Wait until a job has ended; return how."""
        self.eventually(lambda: self.end(request), f"{self.dag_id}: its job ended")
        return self.end(request)[0]

    def events(self, request: JobRequest) -> list[StatusEvent]:
        """Return what was said of a job, in order."""
        return events_of_job(self.servers, RESPONSE_TOPIC, request.correlation_id)

    def states(self, request: JobRequest) -> list[JobState]:
        """Return the states that it was said to be in."""
        return [event.state for event in self.events(request)]

    def end(self, request: JobRequest) -> list[JobState]:
        """Return its terminal states."""
        return [state for state in self.states(request) if state in TERMINAL]

    def reasons(self, request: JobRequest) -> list[str | None]:
        """Return why it was cancelled, each time."""
        commands = commands_for(self.servers, CONTROL_TOPIC, request.correlation_id)
        return [command.reason for command in commands]

    def wait_for_task(self, *states: str) -> None:
        """Wait until its task is in one of these states."""
        self.airflow.wait_for_task(self.dag_id, self.run_id, "work", set(states), 240)

    def wait(self) -> str:
        """Wait for its end; return how it ended."""
        return self.airflow.wait_for_run(self.dag_id, self.run_id, 240)

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
