"""Triggers DAG runs, waits for them, and reads their results."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from kafka_bridge.testing.local_airflow.api import path
from kafka_bridge.testing.local_airflow.dag_files import import_error_text
from kafka_bridge.testing.local_airflow.errors import ApiError, LocalAirflowError, WaitTimedOut
from kafka_bridge.testing.local_airflow.logs import LogLine, parse_log
from kafka_bridge.testing.local_airflow.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from kafka_bridge.testing.local_airflow.api import AirflowApi

TaskInstance = dict[str, Any]
T = TypeVar("T")
NOT_FOUND = 404
CONFLICT = 409
TERMINAL_RUN_STATES = frozenset({"success", "failed"})
NEW_DAG_SECONDS = 90.0
"""How long :meth:`DagRuns.trigger` waits for a DAG whose file was only just written, and for an API
server that does not answer at once."""


class DagRuns(ABC):
    """The operations of a local Airflow on DAG runs, through its public API."""

    api: AirflowApi

    @abstractmethod
    def check(self) -> None:
        """Raise if a component died by itself."""

    @abstractmethod
    def component_report(self) -> str:
        """Return a text on the components for the message of an error."""

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None
    ) -> str:
        """Start a run of ``dag_id`` and return its run id (a new one if None is given).

        Raises :class:`WaitTimedOut` if the DAG does not turn up, :class:`ApiError` on a refusal.
        """
        new_id = run_id or f"local_{uuid.uuid4()}"
        body = {"dag_run_id": new_id, "conf": dict(conf or {}), "logical_date": None}

        def attempt() -> dict[str, Any] | None:
            try:
                return _unless_missing(lambda: self.api.post(path("dags", dag_id, "dagRuns"), body))
            except ApiError as error:
                if error.status != CONFLICT or run_id is not None:
                    raise
                return body  # the id is our own: an earlier request went through, unanswered

        return str(self._wait(attempt, f"DAG {dag_id}", NEW_DAG_SECONDS)["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.api.get(path("dags", dag_id, "dagRuns", run_id))["state"])

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float) -> str:
        """Wait up to ``timeout`` seconds for a run to end; return ``success`` or ``failed``.

        Raises :class:`WaitTimedOut`, and :class:`ComponentFailed` if a component dies meanwhile.
        """

        def ended() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in TERMINAL_RUN_STATES else None

        return self._wait(ended, f"run {run_id} of {dag_id} to end", timeout, (dag_id, run_id))

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: Collection[str],
        timeout: float,
        map_index: int = -1,
    ) -> TaskInstance:
        """Wait up to ``timeout`` seconds for a task to be in one of ``states``; return it.

        Raises :class:`WaitTimedOut`, at once if the run ends in another state of the task, and
        :class:`ComponentFailed` if a component dies meanwhile.
        """
        what = f"task {task_id}[{map_index}] to be in {sorted(states)}"

        def arrived() -> TaskInstance | None:
            ended = self.run_state(dag_id, run_id) in TERMINAL_RUN_STATES
            task = self.task_instance(dag_id, run_id, task_id, map_index)
            if task is not None and task["state"] in states:
                return task
            if ended:
                report = self.run_report(dag_id, run_id)
                raise WaitTimedOut(f"Waited for {what}, but the run has ended.\n{report}")
            return None

        return self._wait(arrived, what, timeout, (dag_id, run_id))

    def task_instance(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1
    ) -> TaskInstance | None:
        """Return one task instance as the API shows it, or None if there is none (yet)."""
        url = path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id)
        if map_index >= 0:
            url = f"{url}/{map_index}"
        return _unless_missing(lambda: self.api.get(url))

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Return all task instances of a run as the API shows them."""
        url = path("dags", dag_id, "dagRuns", run_id, "taskInstances")
        return self.api.get_all(url, "task_instances")

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Set the state of a task as in the UI: ``success`` or ``failed``."""
        url = path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id)
        self.api.patch(url, {"new_state": state})

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Set the state of a run as in the UI; its unfinished tasks get the same state."""
        self.api.patch(path("dags", dag_id, "dagRuns", run_id), {"state": state})

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task as in the UI: it runs again, even if it is running."""
        body = {"dag_run_id": run_id, "task_ids": [task_id], "dry_run": False, "only_failed": False}
        self.api.post(path("dags", dag_id, "clearTaskInstances"), body)

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> list[LogLine]:
        """Return the log of one try, its trigger's lines included; as far as it is written."""
        url = path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "logs", try_number)
        answer = self.api.get(url, map_index=map_index, full_content=True)
        return parse_log(answer["content"])

    def xcom(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        key: str = "return_value",
        map_index: int = -1,
    ) -> Any:
        """Return the value of an XCom, decoded from JSON; raises :class:`ApiError` without one."""
        url = path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "xcomEntries", key)
        return self.api.get(url, map_index=map_index)["value"]

    def run_report(self, dag_id: str, run_id: str) -> str:
        """Return the state of all tasks of a run as text."""
        tasks = ", ".join(
            f"{task['task_id']}[{task['map_index']}]={task['state']} (try {task['try_number']})"
            for task in self.task_instances(dag_id, run_id)
        )
        return (
            f"Run {run_id} of {dag_id} is {self.run_state(dag_id, run_id)}: {tasks or 'no tasks'}"
        )

    def _wait(
        self,
        probe: Callable[[], T | None],
        what: str,
        timeout: float,
        run: tuple[str, str] | None = None,
    ) -> T:
        def checked() -> T | None:
            self.check()
            return probe()

        def state() -> str:
            parts = [lambda: self.run_report(*run)] if run else []
            parts += [lambda: import_error_text(self.api.import_errors()), self.component_report]
            return "\n".join(filter(None, (_attempt(part) for part in parts)))

        return wait_until(checked, what=what, timeout=timeout, state=state)


def _attempt(part: Callable[[], str]) -> str:
    """Return the text, or why it is missing: reporting a failure must not raise another error."""
    try:
        return part()
    except LocalAirflowError as error:
        return str(error)


def _unless_missing(request: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return request()
    except ApiError as error:
        if error.status == NOT_FOUND:
            return None
        raise
