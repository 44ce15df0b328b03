"""Batches: failures collected, failing fast and retried, waited for by a worker, and marked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobBatchOperator

with DAG(dag_id="batch_collects", schedule=None):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="batch.double",
        payloads=list(range(2000)),
        on_failure="collect",
        request_topic="batch.requests",
        progress_log_interval=0.5,
        wait_before_deferring=0,  # its test kills the triggerer amid its jobs
    )

with DAG(dag_id="batch_fails_fast", schedule=None):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="batch.double",
        payloads=list(range(200)),
        request_topic="batch.requests",
        retries=1,
        retry_delay=timedelta(seconds=0),
    )

with DAG(dag_id="batch_without_triggerer", schedule=None):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="batch.double",
        payloads=[str(20 * number) for number in range(200)],
        payload_model=int,
        result_handler=sum,
        request_topic="batch.requests",
        deferrable=False,
    )

with DAG(dag_id="batch_marked", schedule=None):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="batch.waits",
        payloads=[None] * 20,
        request_topic="batch.requests",
    )

LARGE: dict[str, dict[str, Any]] = {
    "large_collects": {"on_failure": "collect", "wait_before_deferring": 0},
    "large_fails_fast": {"retries": 1, "retry_delay": timedelta(seconds=0)},
}
for name, arguments in LARGE.items():
    with DAG(dag_id=name, schedule=None):
        KafkaJobBatchOperator(
            task_id="work",
            job_type="batch.double",
            payloads=list(range(10_000)),
            request_topic="batch.requests",
            progress_log_interval=0.5,
            **arguments,
        )
