"""The SDK that a microservice installs. It knows nothing of Airflow."""

from kafka_bridge.worker.cancellation import JobStopped, StopReason
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.errors import ApplicationError
from kafka_bridge.worker.retries import Backoff
from kafka_bridge.worker.worker import Worker

__all__ = ["ApplicationError", "Backoff", "JobContext", "JobStopped", "StopReason", "Worker"]
