"""A job that fails: the task's log shows the service's own error."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="failing_job", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):
    KafkaJobOperator(
        task_id="fail",
        job_type="files.fail",
        payload={"path": "/no/such/folder/orders.csv"},
    )
