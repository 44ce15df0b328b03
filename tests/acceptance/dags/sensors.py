"""Sensors for a job that no worker reads: their own timeout ends the wait."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobPublishOperator, KafkaJobSensor

with DAG(dag_id="sensors", schedule=None):
    publish = KafkaJobPublishOperator(
        task_id="publish", job_type="test.count", request_topic="jobs.nobody"
    )
    KafkaJobSensor(task_id="skips", job=publish.output, timeout=5, soft_fail=True)
    KafkaJobSensor(
        task_id="skips_in_its_slot",
        job=publish.output,
        timeout=5,
        soft_fail=True,
        deferrable=False,
    )
    KafkaJobSensor(task_id="fails", job=publish.output, timeout=5, cancel_on_kill=True, retries=3)
