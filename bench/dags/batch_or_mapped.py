"""The same jobs as one batch task and as mapped tasks."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobOperator

TOPICS = {
    "request_topic": "{{ dag_run.conf['request_topic'] }}",
    "response_topic": "{{ dag_run.conf['response_topic'] }}",
}


@task
def payloads(**context: Any) -> list[int]:
    """Return a payload for each job."""
    return list(range(context["dag_run"].conf["count"]))


with DAG(dag_id="bench_batch", schedule=None):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="bench.nothing",
        payloads=payloads(),
        request_topic=TOPICS["request_topic"],
        response_topic=TOPICS["response_topic"],
    )

with DAG(dag_id="bench_mapped", schedule=None):
    KafkaJobOperator.partial(task_id="work", job_type="bench.nothing", **TOPICS).expand(
        payload=payloads()
    )
