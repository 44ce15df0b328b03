"""One task whose job a gateway does: which job, and with what payload, is for the run to say."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from kafka_bridge.airflow import KafkaJobOperator

with DAG(
    dag_id="gateway_job",
    schedule=None,
    params={
        "job_type": Param("", type="string"),
        "payload": Param({}, type="object"),
        "topic": Param("", type="string"),
    },
    render_template_as_native_obj=True,
):
    KafkaJobOperator(
        task_id="work",
        job_type="{{ params.job_type }}",
        payload="{{ params.payload }}",
        request_topic="{{ params.topic }}",
        progress_log_interval=0.5,
    )
