"""A job that makes the Spring service throw."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="plain_service_that_fails", schedule=None):
    KafkaJobOperator(
        task_id="convert",
        job_type="convert",
        payload={"path": "/no/such/file"},
        request_topic="convert",
        response_topic="convert.reply",
        encoding="json",
        reply="plain",
        schedule_to_start_timeout=60,
        start_to_close_timeout=60,
    )
