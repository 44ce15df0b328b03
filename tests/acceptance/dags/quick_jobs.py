"""Jobs that end, or do not end, while their task waits in its own process."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobOperator

LONG = 120
"""Seconds: longer than any job of these DAGs takes, on a busy machine, too."""
COMMON: dict[str, Any] = {"request_topic": "patient.requests", "heartbeat_interval": 1}
ONE_JOB: dict[str, dict[str, Any]] = {
    "quick_job": {"job_type": "patient.attempt", "wait_before_deferring": LONG},
    "longer_job": {"job_type": "patient.works", "payload": 8, "wait_before_deferring": 2},
    "job_with_execution_timeout": {
        "job_type": "patient.works",
        "payload": 20,
        "wait_before_deferring": LONG,
        "execution_timeout": timedelta(seconds=10),
    },
}

for dag_id, arguments in ONE_JOB.items():
    with DAG(dag_id=dag_id, schedule=None):
        KafkaJobOperator(task_id="work", **COMMON, **arguments)

with DAG(dag_id="quick_batch", schedule=None):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="batch.double",
        payloads=list(range(7)),
        request_topic="batch.requests",
        wait_before_deferring=LONG,
    )

with DAG(dag_id="forty_quick_jobs", schedule=None):
    KafkaJobOperator.partial(task_id="work", job_type="patient.numbers", **COMMON).expand(
        payload=list(range(40))
    )
