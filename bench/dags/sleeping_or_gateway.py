"""The same HTTP jobs with an operator that sleeps and polls, and with both modes of a gateway."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
from airflow.sdk import DAG, BaseOperator

from kafka_bridge.airflow import KafkaJobOperator

JOBS = 8
SECONDS = 15
PAYLOAD = {"seconds": SECONDS}


class SleepingOperator(BaseOperator):
    """Submits a job and polls its status once a second: the usual hand-written operator."""

    template_fields = ("url",)

    def __init__(self, *, url: str, payload: dict[str, Any], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.url = url
        self.payload = payload

    def execute(self, context: Any) -> Any:  # noqa: ARG002  Airflow's signature
        """Return the job's result."""
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            job = f"/jobs/{uuid.uuid4()}"
            client.post(job, json=self.payload).raise_for_status()
            while (answer := client.get(job).raise_for_status().json())["status"] == "running":
                time.sleep(1)
            return answer["result"]


with DAG(dag_id="bench_sleeping", schedule=None):
    SleepingOperator.partial(task_id="work", url="{{ dag_run.conf['url'] }}").expand(
        payload=[PAYLOAD] * JOBS
    )

for way in ("polling", "callback"):
    with DAG(dag_id=f"bench_{way}", schedule=None):
        KafkaJobOperator.partial(
            task_id="work",
            job_type=f"bench.{way}",
            request_topic="{{ dag_run.conf['request_topic'] }}",
            response_topic="{{ dag_run.conf['response_topic'] }}",
        ).expand(payload=[PAYLOAD] * JOBS)
