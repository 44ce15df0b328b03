"""Jobs whose worker, which the test plays, publishes a lot; and one that only wants to end."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="loud_jobs", schedule=None):
    KafkaJobOperator.partial(
        task_id="loud",
        job_type="test.loud",
        request_topic="jobs.nobody",
        retries=1,
        wait_before_deferring=0,
    ).expand(payload=list(range(8)))
    KafkaJobOperator(
        task_id="bystander",
        job_type="test.quiet",
        request_topic="jobs.nobody",
        end_from_trigger=True,
    )
