"""Airflow's ``kafka`` connections as client configuration, through the official provider's hook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.apache.kafka.hooks.base import KafkaBaseHook
from airflow.sdk.exceptions import AirflowException

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError

_FAULTY_EXTRA = (ValueError, ImportError, AttributeError, TypeError)
"""What the hook raises: a callback that cannot be imported, a list where it wants text, …"""


class _ConfigHook(KafkaBaseHook):
    """Gives what the provider's hook would make its client from.

    So Amazon MSK IAM, Google's managed Kafka and the allow-list of callbacks work as they do in the
    provider's own operators.
    """

    def _get_client(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return config


def kafka_config(kafka_config_id: str) -> KafkaConfig:
    """Return how a connection reaches Kafka. Blocks: not for an event loop.

    :raises ConfigurationError: there is no such connection, or it does not say enough
    """
    try:
        settings = _ConfigHook(kafka_config_id).get_conn  # type: ignore[no-untyped-call]
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
