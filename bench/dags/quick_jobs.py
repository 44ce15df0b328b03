"""Chains of three tasks: with a no-op job each, in both modes, and with an empty function each."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, chain, task

from kafka_bridge.airflow import KafkaJobOperator

LENGTH = 3
TOPICS: dict[str, Any] = {
    "request_topic": "{{ dag_run.conf['request_topic'] }}",
    "response_topic": "{{ dag_run.conf['response_topic'] }}",
}


@task
def nothing() -> None:
    """Do nothing."""


def jobs(*, deferrable: bool) -> list[KafkaJobOperator]:
    """Return tasks that wait for a job each."""
    return [
        KafkaJobOperator(
            task_id=f"job_{number}", job_type="bench.nothing", deferrable=deferrable, **TOPICS
        )
        for number in range(LENGTH)
    ]


with DAG(dag_id="bench_quick_deferrable", schedule=None):
    chain(*jobs(deferrable=True))

with DAG(dag_id="bench_quick_in_slot", schedule=None):
    chain(*jobs(deferrable=False))

with DAG(dag_id="bench_quick_empty", schedule=None):
    chain(*(nothing.override(task_id=f"empty_{number}")() for number in range(LENGTH)))
