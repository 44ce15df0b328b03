"""The same work three ways: by asking a service, by being called back, by a worker on Kafka.

The first two are done by examples/http_service.py, which speaks HTTP only, through a gateway with
examples/gateway.yaml. The third is done by examples/file_auditor.py. To Airflow they look alike.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import airflow
from airflow.sdk import DAG, Param, task

from kafka_bridge.airflow import KafkaJobOperator

INSTALLED_AIRFLOW = str(Path(airflow.__path__[0]))

with DAG(
    dag_id="three_patterns",
    schedule=None,
    params={
        "directory": Param(INSTALLED_AIRFLOW, type="string", description="What to audit"),
        "files_per_second": Param(100, type="number", description="Spares the disk"),
    },
    default_args={
        "payload": {
            "directory": "{{ params.directory }}",
            "pattern": "*.py",
            "files_per_second": "{{ params.files_per_second }}",
        },
        "schedule_to_start_timeout": timedelta(minutes=10),
        "progress_log_interval": 2,
    },
    render_template_as_native_obj=True,
    tags=["kafka-bridge"],
    doc_md=__doc__,
):
    by_polling = KafkaJobOperator(
        task_id="by_polling", job_type="audit.by-polling", request_topic="gateway.requests"
    )
    by_callback = KafkaJobOperator(
        task_id="by_callback", job_type="audit.by-callback", request_topic="gateway.requests"
    )
    by_worker = KafkaJobOperator(task_id="by_worker", job_type="files.audit")

    @task
    def compare(reports: Any) -> dict[str, Any]:
        """Return the report, which is the same whoever made it.

        :raises ValueError: it is not
        """
        first, *others = reports
        for report in reports:
            print(f"{report['files']:,} files, {report['bytes']:,} bytes, {report['sha256']}")
        if any(other != first for other in others):
            raise ValueError("the reports differ: were the files changed meanwhile?")
        return dict(first)

    compare([by_polling.output, by_callback.output, by_worker.output])
