"""Publish a job in one DAG, wait for it in another: a handle, a small JSON value, leads to it."""

from __future__ import annotations

from pathlib import Path

import airflow
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobPublishOperator, KafkaJobSensor

with DAG(dag_id="publish_job", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):
    publish = KafkaJobPublishOperator(
        task_id="publish",
        job_type="files.audit",
        payload={"directory": str(Path(airflow.__path__[0]) / "models")},
    )
    # In the same DAG, a sensor takes the output as it is.
    wait = KafkaJobSensor(task_id="wait", job=publish.output)
    hand_over = TriggerDagRunOperator(
        task_id="hand_over",
        trigger_dag_id="wait_for_job",
        conf={"job": "{{ ti.xcom_pull(task_ids='publish') | tojson }}"},
    )
    publish >> hand_over

with DAG(dag_id="wait_for_job", schedule=None, tags=["kafka-bridge"], doc_md=__doc__):
    KafkaJobSensor(task_id="wait", job="{{ dag_run.conf['job'] }}")
