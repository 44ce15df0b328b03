"""A job on a response topic of its own, which somebody spoils."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="behind_unreadable", schedule=None):
    KafkaJobOperator(
        task_id="job",
        job_type="test.quiet",
        request_topic="jobs.nobody",
        response_topic="unreadable.responses",
    )
