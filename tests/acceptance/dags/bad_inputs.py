"""One task for each mistake that a DAG author or an administrator can make."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator


class NoJson:
    """Has no JSON form."""


with DAG(dag_id="bad_inputs", schedule=None):
    KafkaJobOperator(
        task_id="not_serialisable", job_type="test.count", payload={"files": [{"x": NoJson()}]}
    )
    KafkaJobOperator(task_id="too_large", job_type="test.count", payload="x" * 2_000_000)
    KafkaJobOperator(task_id="no_topic", job_type="test.count", request_topic="jobs.nowhere")
    KafkaJobOperator(
        task_id="no_broker", job_type="test.count", kafka_config_id="dead", broker_timeout=3
    )
    KafkaJobOperator(task_id="no_connection", job_type="test.count", kafka_config_id="nothing")
    KafkaJobOperator(
        task_id="unknown_job_type",
        job_type="test.nothing",
        request_topic="test.requests",
        retries=3,
    )
