"""One job for each folder: dynamic task mapping over payloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import airflow
from airflow.sdk import DAG, task

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="map_jobs", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):

    @task
    def folders() -> list[dict[str, str]]:
        """Return a payload for each of some folders of the installed Airflow."""
        root = Path(airflow.__path__[0])
        return [{"directory": str(root / name)} for name in ("api", "cli", "jobs", "models")]

    audits = KafkaJobOperator.partial(task_id="audit", job_type="files.audit").expand(
        payload=folders()
    )

    @task
    def total(reports: Any) -> int:
        """Return how many files all audits saw."""
        return int(sum(report["files"] for report in reports))

    total(audits.output)
