"""Six tasks whose jobs have begun when one of two workers is killed."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="turns", schedule=None):
    KafkaJobOperator.partial(
        task_id="work",
        job_type="turns.gated",
        request_topic="{{ dag_run.conf['request_topic'] }}",
        response_topic="{{ dag_run.conf['response_topic'] }}",
        heartbeat_interval=timedelta(seconds=2),
        # Not in the ratio of the defaults: a trigger waits at least 30 s before it counts a worker
        # as lost, and the workers' queue is longer than both.
        heartbeat_timeout=timedelta(seconds=40),
    ).expand(payload=list(range(6)))
