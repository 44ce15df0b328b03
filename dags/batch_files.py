"""One task, many jobs: each folder of the installed Airflow is audited by a job of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import airflow
from airflow.sdk import DAG, task

from kafka_bridge.airflow import KafkaJobBatchOperator

with DAG(dag_id="batch_files", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):

    @task
    def folders() -> list[dict[str, str]]:
        """Return a payload for each folder; the last one is not there."""
        root = Path(airflow.__path__[0])
        found = sorted(path for path in root.iterdir() if path.is_dir())
        return [{"directory": str(path)} for path in (*found, root / "no_such_folder")]

    audits = KafkaJobBatchOperator(
        task_id="audit",
        job_type="files.audit",
        payloads=folders(),
        on_failure="collect",
        max_failures=1,
    )

    @task
    def total(reports: Any) -> int:
        """Return how many files all audits saw."""
        return int(sum(report["files"] for report in reports if "error" not in report))

    total(audits.output)
