"""The show of one job: its progress, the task's log, the result, and a check of the result."""

from __future__ import annotations

from demo.board import print_queues
from demo.follow import JOB_SECONDS, follow
from demo.job_feed import jobs_of_run
from demo.reports import DemoFailed, count_again, print_log, print_report
from demo.scene import Scene
from demo.steps import Steps

DAG_ID = "audit_files"


class Show:
    """Runs the DAG and prints what happens."""

    def __init__(self, scene: Scene, steps: Steps) -> None:
        self._scene = scene
        self._airflow = scene.airflow
        self._servers = scene.broker.bootstrap_servers
        self._steps = steps

    def run(self) -> None:
        """Run the DAG from start to end.

        :raises DemoFailed: it failed, or the result does not match the files
        """
        steps = self._steps
        run_id = self._airflow.trigger(DAG_ID)
        steps.say(f"Airflow runs the DAG {DAG_ID} (dags/{DAG_ID}.py).")
        with steps.console.status("Waiting for its task `audit` to publish a job request …"):
            (request,) = jobs_of_run(self._servers, run_id, JOB_SECONDS)
        steps.say(
            f"Its task `audit` published a job request to Kafka ({request.job_type}, id "
            f"{request.correlation_id[:8]}…)\n  and released its slot in Airflow. "
            "No worker runs yet.\n  `kafka-bridge queues list` shows that the job waits:",
        )
        print_queues(steps, self._servers)
        self._scene.start_worker(" These are its events on the response topic:")
        follow(steps, self._servers, {request.correlation_id: ""})
        with steps.console.status("The task reads its result and passes it to the next one …"):
            state = self._airflow.wait_for_run(DAG_ID, run_id, JOB_SECONDS)
        steps.say("The task's log, which Airflow's web page shows too:")
        print_log(steps, self._airflow, DAG_ID, run_id, "audit")
        if state != "success":
            raise DemoFailed(f"the DAG run is {state!r}; its log is above")
        steps.say("The result, which the next task reads from XCom:")
        report = self._airflow.xcom(DAG_ID, run_id, "audit")
        print_report(steps, report)
        count_again(steps, report)
