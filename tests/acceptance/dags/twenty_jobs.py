"""Twenty mapped jobs."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="twenty_jobs", schedule=None):
    KafkaJobOperator.partial(
        task_id="work", job_type="test.count", request_topic="test.requests"
    ).expand(payload=[{"seconds": 0.2, "number": number} for number in range(20)])
