"""A payload that is checked before it is sent, limits on the wait, and a handler for the result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import airflow
from airflow.sdk import DAG, Param

from kafka_bridge.airflow import KafkaJobOperator


@dataclass
class Audit:
    """What the service wants. Templates give text: a model makes numbers of it again."""

    directory: Path
    files_per_second: float


def largest_suffix(report: dict[str, Any]) -> str:
    """Return the suffix with the most lines."""
    lines: dict[str, int] = report["lines_by_suffix"]
    return max(lines, key=lines.__getitem__)


with DAG(
    dag_id="checked_payload",
    schedule=None,
    params={"files_per_second": Param("500", type="string")},
    tags=["kafka-bridge"],
    doc_md=__doc__,
):
    KafkaJobOperator(
        task_id="audit",
        job_type="files.audit",
        payload={
            "directory": str(Path(airflow.__path__[0]) / "models"),
            "files_per_second": "{{ params.files_per_second }}",
        },
        payload_model=Audit,
        result_handler=largest_suffix,
        schedule_to_start_timeout=timedelta(minutes=10),  # nobody took it
        heartbeat_timeout=120,  # its worker fell silent
        start_to_close_timeout=timedelta(hours=1),  # it ran too long
        retries=2,
        on_retry="reattach",  # a retry goes on with the job, unless that has failed
        cancel_on_kill=True,  # clearing or marking the task cancels the job as well
    )
