"""Jobs of a Spring service: one succeeds, one fails, one has no reply; and a batch."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobOperator

PLAIN: dict[str, Any] = {
    "job_type": "convert",
    "request_topic": "spring.convert",
    "response_topic": "spring.replies",
    "encoding": "json",
    "reply": "plain",
    "schedule_to_start_timeout": 60,
}

with DAG(dag_id="spring_service", schedule=None):
    KafkaJobOperator(task_id="does", payload={"path": "a.png"}, **PLAIN)
    KafkaJobOperator(task_id="says_why_not", payload={"path": "/no/such/file"}, **PLAIN)
    KafkaJobOperator(
        task_id="is_silent",
        payload={"path": "/no/such/file"},
        **{**PLAIN, "request_topic": "spring.convert.silent", "schedule_to_start_timeout": 10},
        start_to_close_timeout=10,
    )
    KafkaJobBatchOperator(
        task_id="does_many",
        payloads=[{"path": "/no/such/file" if n == 70 else f"{n}.png"} for n in range(100)],
        on_failure="collect",
        **PLAIN,
    )
