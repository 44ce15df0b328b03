"""Operators and triggers for Airflow; the only part that imports it.

Importing this package loads no Kafka client and no Avro: DAG files are parsed often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_bridge.airflow.operators import KafkaJobOperator
    from kafka_bridge.airflow.triggers import KafkaJobTrigger

__all__ = ["KafkaJobOperator", "KafkaJobTrigger"]


def __getattr__(name: str) -> Any:
    if name == "KafkaJobOperator":
        from kafka_bridge.airflow.operators import KafkaJobOperator

        return KafkaJobOperator
    if name == "KafkaJobTrigger":
        from kafka_bridge.airflow.triggers import KafkaJobTrigger

        return KafkaJobTrigger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
