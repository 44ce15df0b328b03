"""A chain of three tasks that do nothing, in a file that does not load the bridge."""

from __future__ import annotations

from airflow.sdk import DAG, chain, task

LENGTH = 3


@task
def nothing() -> None:
    """Do nothing."""


with DAG(dag_id="bench_chain_empty", schedule=None):
    chain(*(nothing.override(task_id=f"empty_{number}")() for number in range(LENGTH)))
