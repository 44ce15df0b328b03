"""Operators and triggers for Airflow; the only part that imports it.

Importing this package loads no Kafka client and no Avro: DAG files are parsed often.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_bridge.airflow.batch.operator import KafkaJobBatchOperator
    from kafka_bridge.airflow.batch.trigger import KafkaJobBatchTrigger
    from kafka_bridge.airflow.operators import KafkaJobOperator
    from kafka_bridge.airflow.publish import KafkaJobPublishOperator
    from kafka_bridge.airflow.sensors import KafkaJobSensor
    from kafka_bridge.airflow.triggers import KafkaJobTrigger

__all__ = [
    "KafkaJobBatchOperator",
    "KafkaJobBatchTrigger",
    "KafkaJobOperator",
    "KafkaJobPublishOperator",
    "KafkaJobSensor",
    "KafkaJobTrigger",
]

_MODULES = {
    "KafkaJobBatchOperator": "batch.operator",
    "KafkaJobBatchTrigger": "batch.trigger",
    "KafkaJobOperator": "operators",
    "KafkaJobSensor": "sensors",
    "KafkaJobTrigger": "triggers",
    "KafkaJobPublishOperator": "publish",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
