"""The hook behind the bridge's connections: it asks the official provider's for its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.apache.kafka.hooks.base import KafkaBaseHook

from kafka_bridge.protocol.errors import KafkaBridgeError

ANSWER_SECONDS = 10.0
"""How long the button in the form waits."""


class KafkaBridgeHook(KafkaBaseHook):
    """Gives what the provider's hook would make its client from, without what was left blank.

    So Amazon MSK IAM, Google's managed Kafka and the allow-list of callbacks work as they do in the
    provider's own operators, and connections of its type ``kafka`` serve as well as those of the
    bridge's type ``kafka_bridge``, whose form has fields for the usual properties.
    """

    conn_type = "kafka_bridge"
    hook_name = "Apache Kafka (kafka-bridge)"

    def _get_client(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in config.items() if value not in (None, "")}

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether brokers answer, for the button in Airflow's connection form."""
        from kafka_bridge.airflow.connections import kafka_config
        from kafka_bridge.kafka.admin.topics import broker_count

        try:
            count = broker_count(kafka_config(self.kafka_config_id), ANSWER_SECONDS)
        except KafkaBridgeError as error:
            return False, str(error)
        return True, f"Connected: {count} broker{'' if count == 1 else 's'}."
