"""The main job: a worker outside Airflow audits a directory tree, Airflow prints its report."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import airflow
from airflow.sdk import DAG, Param, task

from kafka_bridge.airflow import KafkaJobOperator

INSTALLED_AIRFLOW = str(Path(airflow.__path__[0]))

with DAG(
    dag_id="audit_files",
    schedule=None,
    params={
        "directory": Param(INSTALLED_AIRFLOW, type="string", description="What to audit"),
        "files_per_second": Param(200, type="number", description="Spares the disk"),
    },
    render_template_as_native_obj=True,
    tags=["kafka-bridge"],
    doc_md=__doc__,
):
    audit = KafkaJobOperator(
        task_id="audit",
        job_type="files.audit",
        payload={
            "directory": "{{ params.directory }}",
            "files_per_second": "{{ params.files_per_second }}",
        },
        schedule_to_start_timeout=timedelta(minutes=10),
        progress_log_interval=1,
    )

    @task
    def print_report(report: Any) -> None:
        """Print what the worker found."""
        print(f"{report['files']:,} files, {report['bytes']:,} bytes in {report['directory']}")
        print(f"SHA-256 over all of them: {report['sha256']}")
        for suffix, count in sorted(report["lines_by_suffix"].items(), key=lambda item: -item[1]):
            print(f"{count:>12,} lines in {suffix}")

    print_report(audit.output)
