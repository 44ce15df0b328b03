"""A DAG of another Airflow, which knows nothing of Kafka: it is reached by its REST API."""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

with DAG(dag_id="sum_up", schedule=None, params={"numbers": Param([], type="array")}):

    @task
    def add() -> dict[str, Any]:
        """Add up the run's numbers, slowly enough to be watched.

        :raises TypeError: one of them is none
        """
        numbers = get_current_context()["params"]["numbers"]
        time.sleep(1)
        return {"sum": sum(numbers)}

    add()
