"""The show of the same work done in three ways, with the same result."""

from __future__ import annotations

import json

from demo.follow import JOB_SECONDS, follow
from demo.gateway import GATEWAY_TOPIC
from demo.job_feed import jobs_of_run
from demo.reports import DemoFailed, count_again, print_log, print_report
from demo.scene import Scene
from demo.steps import Steps
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.protocol.topics import REQUEST_TOPIC

DAG_ID = "three_patterns"
TASKS = ("by_polling", "by_callback", "by_worker")
PATTERN = "*.py"
"""The files that the DAG audits."""


class ThreePatterns:
    """Runs the DAG and prints what happens."""

    def __init__(self, scene: Scene, steps: Steps) -> None:
        self._airflow = scene.airflow
        self._servers = scene.broker.bootstrap_servers
        self._steps = steps

    def run(self) -> None:
        """Run the DAG from start to end.

        :raises DemoFailed: it failed, or the result does not match the files
        """
        steps = self._steps
        run_id = self._airflow.trigger(DAG_ID)
        steps.say(f"Airflow runs the DAG {DAG_ID} (dags/{DAG_ID}.py): the same work, three ways.")
        names = self._published(run_id)
        steps.say(
            "Three tasks published a job request each, and released their slots in Airflow:\n"
            "    by_polling   the gateway posts the job to the service, and polls its status;\n"
            "    by_callback  the gateway posts the job to the service, which calls back;\n"
            "    by_worker    the worker consumes the job from Kafka itself.\n"
            "  These are their events on the response topic, in one format:"
        )
        follow(steps, self._servers, names, self._on_end)
        with steps.console.status("The tasks read their results, and a fourth one compares them …"):
            state = self._airflow.wait_for_run(DAG_ID, run_id, JOB_SECONDS)
        for task in TASKS:
            steps.say(f"The log of {task}, which Airflow's web page shows too:")
            print_log(steps, self._airflow, DAG_ID, run_id, task)
        if state != "success":
            raise DemoFailed(f"the DAG run is {state!r}; its logs are above")
        steps.say("A fourth task compared the three reports; they are equal:")
        report = self._airflow.xcom(DAG_ID, run_id, "compare")
        print_report(steps, report)
        count_again(steps, report, PATTERN)

    def _published(self, run_id: str) -> dict[str, str]:
        """Wait for the jobs of a run; return by correlation id the task of each."""
        with self._steps.console.status("Waiting for its tasks to publish their job requests …"):
            requests = jobs_of_run(
                self._servers,
                run_id,
                JOB_SECONDS,
                count=len(TASKS),
                topics=(REQUEST_TOPIC, GATEWAY_TOPIC),
            )
        return {each.correlation_id: each.task.task_id for each in requests if each.task}

    def _on_end(self, task: str, event: StatusEvent) -> None:
        if event.state is JobState.SUCCEEDED and event.result is not None:
            report = json.loads(event.result)
            words = f"found {report['files']:,} files, SHA-256 {report['sha256'][:12]}…"
        else:
            words = f"failed: {event.error.message if event.error else event.message}"
        self._steps.add(f"{task:<12} {words}", "bold")
