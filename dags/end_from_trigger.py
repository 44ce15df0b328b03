"""A job whose success finishes its task in the triggerer: no worker starts a second time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import airflow
from airflow.sdk import DAG, task

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="end_from_trigger", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):
    audit = KafkaJobOperator(
        task_id="audit",
        job_type="files.audit",
        payload={"directory": str(Path(airflow.__path__[0]) / "models")},
        end_from_trigger=True,
    )

    @task
    def print_size(result: Any) -> None:
        """Print what the worker found. Airflow hands on such a result as JSON text."""
        report = json.loads(result)
        print(f"{report['files']:,} files, {report['bytes']:,} bytes")

    print_size(audit.output)
