"""Honest jobs, and jobs whose ends the attacker writes."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

TOPICS: dict[str, Any] = {"response_topic": "fuzz.responses", "control_topic": "fuzz.control"}

# A retry goes on with the same job: it bears Airflow's own race (decision 0007) on a busy machine.
with DAG("fuzz_honest", schedule=None, default_args={"retries": 1, "retry_delay": 0.0}):
    for task_id, in_triggerer in (("work", False), ("in_triggerer", True)):
        KafkaJobOperator.partial(
            task_id=task_id,
            job_type="fuzz.count",
            request_topic="fuzz.requests",
            end_from_trigger=in_triggerer,
            **TOPICS,
        ).expand(payload=[{"seconds": seconds / 2} for seconds in range(4)])
    KafkaJobOperator(
        task_id="called_back",
        job_type="fuzz.called-back",
        payload={"seconds": 1, "number": 1},
        request_topic="fuzz.gateway",
        **TOPICS,
    )

with DAG("fuzz_odd", schedule=None):
    for task_id, in_triggerer in (("work", False), ("in_triggerer", True)):
        KafkaJobOperator.partial(
            task_id=task_id,
            job_type="fuzz.odd",
            request_topic="fuzz.odd",
            schedule_to_start_timeout=30,
            heartbeat_timeout=30,
            end_from_trigger=in_triggerer,
            **TOPICS,
        ).expand(payload=list(range(12)))
