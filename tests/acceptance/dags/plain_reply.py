"""A job of a service that answers with a plain reply."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="plain_reply", schedule=None):
    KafkaJobOperator(
        task_id="work",
        job_type="convert",
        payload={"path": "a.png"},
        request_topic="plain.requests",
        response_topic="plain.replies",
        reply="plain",
        schedule_to_start_timeout=60,
        start_to_close_timeout=60,
    )
