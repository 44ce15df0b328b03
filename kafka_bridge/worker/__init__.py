"""The SDK that a service installs. It does not import Airflow."""

from kafka_bridge.protocol.errors import (
    AccessDenied,
    ConfigurationError,
    InvalidMessage,
    KafkaBridgeError,
    KafkaError,
    PayloadNotSerialisable,
)
from kafka_bridge.worker.cancellation import JobStopped, StopReason
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.dependencies import Depends
from kafka_bridge.worker.errors import ApplicationError
from kafka_bridge.worker.lifespan import StartupFailed
from kafka_bridge.worker.middleware import CallNext
from kafka_bridge.worker.retries import Backoff
from kafka_bridge.worker.worker import Worker

__all__ = [
    "AccessDenied",
    "ApplicationError",
    "Backoff",
    "CallNext",
    "ConfigurationError",
    "Depends",
    "InvalidMessage",
    "JobContext",
    "JobStopped",
    "KafkaBridgeError",
    "KafkaError",
    "PayloadNotSerialisable",
    "StartupFailed",
    "StopReason",
    "Worker",
]
