"""A job for a service that does not use the protocol (Spring, NestJS): it gets the payload."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="plain_service", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):
    KafkaJobOperator(
        task_id="convert",
        job_type="convert",
        payload={"path": "a.png"},
        request_topic="convert",
        response_topic="convert.reply",
        reply="plain",
        schedule_to_start_timeout=60,
        start_to_close_timeout=600,
    )
