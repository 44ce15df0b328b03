"""Results that Airflow cannot store, beside a task that has nothing to do with them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobOperator

TOPIC = "test.requests"
INTEGER = '{"id": 18446744073709551617}'
RESERVED = '{"__classname__": "x", "__version__": 1}'
NUL = '{"items": [0, {"name": "a\\u0000b"}]}'


def returns(task_id: str, result: str, **arguments: Any) -> None:
    """Add a task whose job returns what JSON text describes."""
    KafkaJobOperator(
        task_id=task_id,
        job_type="test.json",
        payload=result,
        request_topic=TOPIC,
        retries=3,
        **arguments,
    )


with DAG(dag_id="hostile_values", schedule=None):
    KafkaJobOperator(
        task_id="bystander", job_type="test.count", payload={"seconds": 8}, request_topic=TOPIC
    )
    for number in range(3):  # each would end one triggerer
        returns(f"integer_{number}", INTEGER, end_from_trigger=True)
    returns("reserved", RESERVED, end_from_trigger=True)
    returns("float", '{"x": 1e30}')
    returns("nul", NUL)
    returns("deep", "[" * 240 + "]" * 240)
    KafkaJobBatchOperator(
        task_id="batch",
        job_type="test.json",
        payloads=["1", NUL, "3"],
        request_topic=TOPIC,
        retries=3,
    )

with DAG(dag_id="silent_worker", schedule=None):
    KafkaJobOperator(
        task_id="work",
        job_type="test.nothing",
        request_topic="jobs.nobody",
        heartbeat_interval=1,
        heartbeat_timeout=5,
    )
