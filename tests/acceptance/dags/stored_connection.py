"""A job whose connection is in Airflow's database."""

from __future__ import annotations

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

with DAG(dag_id="stored_connection", schedule=None):
    KafkaJobOperator(
        task_id="work",
        job_type="test.count",
        request_topic="test.requests",
        payload={"seconds": 3},
        kafka_config_id="kafka_stored",
        wait_before_deferring=0,  # its triggerer asks for the connection, too
    )
