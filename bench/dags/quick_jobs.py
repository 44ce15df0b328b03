"""Chains of three tasks with a job each, and mapped tasks whose jobs take some time."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, chain, task

from kafka_bridge.airflow import KafkaJobOperator

LENGTH = 3
TOPICS: dict[str, Any] = {
    "request_topic": "{{ dag_run.conf['request_topic'] }}",
    "response_topic": "{{ dag_run.conf['response_topic'] }}",
}
WAYS: dict[str, dict[str, Any]] = {
    "default": {"deferrable": True},
    "at_once": {"deferrable": True, "wait_before_deferring": 0},
    "in_slot": {"deferrable": False},
}


@task
def payloads(**context: Any) -> list[float]:
    """Return a payload for each job."""
    conf = context["dag_run"].conf
    return [conf["seconds"]] * conf["count"]


for name, arguments in WAYS.items():
    with DAG(dag_id=f"bench_chain_{name}", schedule=None):
        chain(
            *(
                KafkaJobOperator(
                    task_id=f"job_{number}", job_type="bench.nothing", **TOPICS, **arguments
                )
                for number in range(LENGTH)
            )
        )

    with DAG(dag_id=f"bench_sleeps_{name}", schedule=None):
        KafkaJobOperator.partial(
            task_id="work", job_type="bench.sleeps", **TOPICS, **arguments
        ).expand(payload=payloads())
