"""A DAG whose job runs until it is stopped, one whose jobs fail, and one whose job succeeds."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

for dag_id, job_type, payload in (
    ("steps", "steps", None),
    ("fails", "fail", "No space left on /data"),
    ("echo", "echo", "done"),
):
    with DAG(dag_id, schedule=None):
        KafkaJobOperator(
            task_id="work",
            job_type=job_type,
            payload=payload,
            heartbeat_interval=1,
            deferrable=False,  # no triggerer runs
            retries=1 if dag_id == "fails" else 0,
            retry_delay=0,
        )
