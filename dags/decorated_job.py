"""A function returns the payload: its task publishes the job and returns the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import airflow
from airflow.sdk import DAG, task

with DAG(dag_id="decorated_job", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):

    @task.kafka_job(job_type="files.audit")
    def audit(package: str) -> dict[str, str]:
        """Audit one package of the installed Airflow."""
        return {"directory": str(Path(airflow.__path__[0]) / package)}

    @task
    def print_size(report: Any) -> None:
        """Print what the worker found."""
        print(f"{report['files']:,} files, {report['bytes']:,} bytes")

    print_size(audit("models"))
