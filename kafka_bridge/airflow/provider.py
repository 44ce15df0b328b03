"""What Airflow's provider manager asks of a package (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, in the form of Airflow's provider_info schema."""
    return {
        "package-name": "airflow-kafka-bridge",
        "name": "kafka-bridge",
        "description": "Hand an Airflow task's work to a service outside Airflow over Kafka.",
        "integrations": [
            {
                "integration-name": "kafka-bridge",
                "external-doc-url": "https://kafka.apache.org/",
                "tags": ["apache"],
            }
        ],
        "operators": [
            {
                "integration-name": "kafka-bridge",
                "python-modules": ["kafka_bridge.airflow.operators"],
            }
        ],
        "triggers": [
            {
                "integration-name": "kafka-bridge",
                "python-modules": ["kafka_bridge.airflow.triggers"],
            }
        ],
    }
