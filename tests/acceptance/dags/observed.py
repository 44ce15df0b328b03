"""A job that succeeds and one that fails, of a type that nobody else uses."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="observed", schedule=None):
    for what in ("succeed", "fail"):
        KafkaJobOperator(
            task_id=what,
            job_type="test.observed",
            request_topic="test.requests",
            payload=what,
            wait_before_deferring=0,  # so that the triggerer has something to report
        )
