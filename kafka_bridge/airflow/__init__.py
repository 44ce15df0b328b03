"""Operators, the sensor, triggers and errors for Airflow. Only this package imports Airflow.

Importing it loads neither a Kafka client nor Avro: DAG files are parsed often.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_bridge.airflow.batch.operator import KafkaJobBatchOperator
    from kafka_bridge.airflow.batch.trigger import KafkaJobBatchTrigger
    from kafka_bridge.airflow.exceptions import (
        KafkaBatchFailed,
        KafkaBatchFailedNonRetryable,
        KafkaBatchTimedOut,
        KafkaJobCancelled,
        KafkaJobFailed,
        KafkaJobFailedNonRetryable,
        KafkaJobKilled,
        KafkaJobTimedOut,
        KafkaJobTimedOutNonRetryable,
        KafkaJobWaitFailed,
        ResultNotStorable,
        ResultsTooLarge,
        ResultTooLarge,
        ResultUnreadable,
    )
    from kafka_bridge.airflow.operators import KafkaJobOperator, KafkaJobPublishOperator
    from kafka_bridge.airflow.sensors import KafkaJobSensor
    from kafka_bridge.airflow.triggers import KafkaJobTrigger
    from kafka_bridge.protocol.errors import (
        ConfigurationError,
        InvalidPayload,
        JobError,
        KafkaBridgeError,
        KafkaError,
        PayloadNotSerialisable,
        RecordGone,
        RecordTooLarge,
    )

__all__ = [
    "ConfigurationError",
    "InvalidPayload",
    "JobError",
    "KafkaBatchFailed",
    "KafkaBatchFailedNonRetryable",
    "KafkaBatchTimedOut",
    "KafkaBridgeError",
    "KafkaError",
    "KafkaJobBatchOperator",
    "KafkaJobBatchTrigger",
    "KafkaJobCancelled",
    "KafkaJobFailed",
    "KafkaJobFailedNonRetryable",
    "KafkaJobKilled",
    "KafkaJobOperator",
    "KafkaJobPublishOperator",
    "KafkaJobSensor",
    "KafkaJobTimedOut",
    "KafkaJobTimedOutNonRetryable",
    "KafkaJobTrigger",
    "KafkaJobWaitFailed",
    "PayloadNotSerialisable",
    "RecordGone",
    "RecordTooLarge",
    "ResultNotStorable",
    "ResultTooLarge",
    "ResultUnreadable",
    "ResultsTooLarge",
]

_MODULES = {
    "kafka_bridge.airflow.batch.operator": ("KafkaJobBatchOperator",),
    "kafka_bridge.airflow.batch.trigger": ("KafkaJobBatchTrigger",),
    "kafka_bridge.airflow.operators": ("KafkaJobOperator", "KafkaJobPublishOperator"),
    "kafka_bridge.airflow.sensors": ("KafkaJobSensor",),
    "kafka_bridge.airflow.triggers": ("KafkaJobTrigger",),
    "kafka_bridge.protocol.errors": (
        "ConfigurationError",
        "InvalidPayload",
        "JobError",
        "KafkaBridgeError",
        "KafkaError",
        "PayloadNotSerialisable",
        "RecordGone",
        "RecordTooLarge",
    ),
}
"""Where the public names come from; each other one is an error of ``exceptions``."""
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF.get(name, f"{__name__}.exceptions")), name)
