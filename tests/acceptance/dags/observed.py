"""A job that succeeds and one that fails, of a type that nobody else uses; and one that takes time.

They defer at once, so that the triggerer has something to report.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

COMMON: dict[str, Any] = {"request_topic": "test.requests", "wait_before_deferring": 0}

with DAG(dag_id="observed", schedule=None):
    for what in ("succeed", "fail"):
        KafkaJobOperator(task_id=what, job_type="test.observed", payload=what, **COMMON)
    KafkaJobOperator(task_id="wait", job_type="test.count", payload={"seconds": 5}, **COMMON)
