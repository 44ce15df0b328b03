"""A job whose length the run chooses, to break things while it runs."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from kafka_bridge.airflow import KafkaJobOperator

with DAG(
    dag_id="slow_job",
    schedule=None,
    params={"seconds": Param(1, type="number")},
    render_template_as_native_obj=True,
):
    KafkaJobOperator(
        task_id="work",
        job_type="{{ 'test.count' }}",
        request_topic="test.requests",
        payload={"seconds": "{{ params.seconds }}"},
        heartbeat_interval=1,
        progress_log_interval=0.5,
        wait_before_deferring=0,  # its tests break things while it is deferred
    )
