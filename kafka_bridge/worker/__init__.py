"""The SDK that a microservice installs. It knows nothing of Airflow."""

from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.errors import ApplicationError
from kafka_bridge.worker.worker import Worker

__all__ = ["ApplicationError", "JobContext", "Worker"]
