"""Airflow's Kafka connections as client configuration."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException

from kafka_bridge.airflow.hooks import KafkaBridgeHook
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError

_FAULTY_EXTRA = (ValueError, ImportError, AttributeError, TypeError)
"""What the hook raises: a callback that cannot be imported, a list where it wants text, …"""


def kafka_config(kafka_config_id: str) -> KafkaConfig:
    """Return how a connection reaches Kafka. Blocks: not for an event loop.

    :raises ConfigurationError: there is no such connection, or it does not say enough
    """
    try:
        settings = KafkaBridgeHook(kafka_config_id).get_conn  # type: ignore[no-untyped-call]
    except AirflowException as error:
        raise ConfigurationError(
            f"Airflow has no usable connection {kafka_config_id!r} ({error}): create one of type "
            'kafka whose extra is {"bootstrap.servers": "…"}, or set kafka_config_id to another'
        ) from error
    except _FAULTY_EXTRA as error:
        raise ConfigurationError(
            f"the extra of connection {kafka_config_id!r} cannot be used: {error}"
        ) from error
    return KafkaConfig(settings)
