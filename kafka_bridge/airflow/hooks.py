"""Airflow's Kafka connections: the hook of the bridge's connection type, and client settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.apache.kafka.hooks.base import KafkaBaseHook

from kafka_bridge.airflow.compat import AirflowException
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError, KafkaBridgeError

ANSWER_SECONDS = 10.0
"""How long the test button of the connection form waits for the brokers."""
_FAULTY_EXTRA = (ValueError, ImportError, AttributeError, TypeError)
"""What the provider's hook raises: a callback that cannot be imported, a list instead of text, …"""


class KafkaBridgeHook(KafkaBaseHook):
    """Returns the settings that the official provider's hook would make its client from.

    Fields that were left blank are dropped. Amazon MSK IAM, Google's managed Kafka and the
    allow-list of callbacks work as in the provider's own operators. The connection may have the
    provider's type ``kafka`` or the bridge's type ``kafka_bridge``, whose form has fields for the
    usual properties.
    """

    conn_type = "kafka_bridge"
    hook_name = "Apache Kafka (kafka-bridge)"

    def _get_client(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in config.items() if value not in (None, "")}

    def test_connection(self) -> tuple[bool, str]:
        """Return whether brokers answer, and a text for Airflow's connection form."""
        # Not at the top: every task loads this module, and none needs the administration of topics.
        from kafka_bridge.kafka.admin.topics import broker_count  # noqa: PLC0415

        try:
            count = broker_count(kafka_config(self.kafka_config_id), ANSWER_SECONDS)
        except KafkaBridgeError as error:
            return False, str(error)
        return True, f"Connected: {count} broker{'' if count == 1 else 's'}."


def kafka_config(kafka_config_id: str) -> KafkaConfig:
    """Return the client settings of a connection. Blocks: do not call it on an event loop.

    :raises ConfigurationError: the connection is missing or incomplete
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
