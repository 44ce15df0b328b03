"""Asks Airflow for the state of a task."""

from __future__ import annotations

from typing import Any


def is_in_state(instance: Any, state: str) -> bool:
    """Return whether a task instance is in a state. Blocks.

    :param instance: the task instance of a task's context or of a trigger
    :raises AirflowRuntimeError: Airflow's API refused the request
    """
    # Not at the top: DAG files load this module, and the task runner is large.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: PLC0415

    count: int = RuntimeTaskInstance.get_ti_count(
        dag_id=instance.dag_id,
        map_index=-1 if instance.map_index is None else instance.map_index,
        task_ids=[instance.task_id],
        run_ids=[instance.run_id],
        states=[state],
    )
    return count > 0
