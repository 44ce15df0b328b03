"""A job for deployments without a triggerer: the task waits in its worker slot."""

from __future__ import annotations

from pathlib import Path

import airflow
from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="without_triggerer", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):
    KafkaJobOperator(
        task_id="audit",
        job_type="files.audit",
        payload={"directory": str(Path(airflow.__path__[0]) / "models")},
        deferrable=False,
    )
