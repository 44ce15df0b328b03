"""The provider's description for Airflow (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any

from kafka_bridge.airflow.settings import SECTION, config_section

NAME = "kafka-bridge"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, in the form of Airflow's provider_info schema."""
    return {
        "package-name": "airflow-kafka-bridge",
        "name": NAME,
        "description": "Hand an Airflow task's work to a service outside Airflow over Kafka.",
        "integrations": [
            {
                "integration-name": NAME,
                "external-doc-url": "https://kafka.apache.org/",
                "tags": ["apache"],
            }
        ],
        "operators": _modules("operators", "batch.operator"),
        "sensors": _modules("sensors"),
        "hooks": _modules("hooks"),
        "triggers": _modules("triggers", "batch.trigger"),
        "task-decorators": [
            {"name": "kafka_job", "class-name": "kafka_bridge.airflow.decorators.kafka_job_task"}
        ],
        "extra-links": [
            "kafka_bridge.airflow.links.JobLink",
            "kafka_bridge.airflow.links.BatchLink",
        ],
        "connection-types": [_connection_type()],
        "config": {SECTION: config_section()},
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    modules = [f"kafka_bridge.airflow.{name}" for name in names]
    return [{"integration-name": NAME, "python-modules": modules}]


def _connection_type() -> dict[str, Any]:
    """Return the form of a connection. Its fields are librdkafka's own properties, in the extra."""
    return {
        "connection-type": "kafka_bridge",
        "hook-class-name": "kafka_bridge.airflow.hooks.KafkaBridgeHook",
        "hook-name": "Apache Kafka (kafka-bridge)",
        "conn-fields": {
            "bootstrap.servers": _field(
                "Brokers",
                "host:port, several separated by commas. Properties without a field here, such as "
                "ssl.ca.location, go into the JSON below: any property of librdkafka works.",
            ),
            "security.protocol": _field(
                "Protocol",
                "Blank: PLAINTEXT.",
                choices=["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
            ),
            "sasl.mechanism": _field(
                "SASL mechanism",
                "For SASL_PLAINTEXT and SASL_SSL.",
                choices=["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"],
            ),
            "sasl.username": _field("User name", "For PLAIN and SCRAM."),
            "sasl.password": _field("Password", "For PLAIN and SCRAM.", format="password"),
        },
        "ui-field-behaviour": {"hidden-fields": ["schema", "login", "password", "port", "host"]},
    }


def _field(
    label: str,
    description: str,
    *,
    choices: list[str] | None = None,
    format: str | None = None,  # noqa: A002  JSON Schema's own word
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": ["string", "null"]}
    if choices:
        schema["enum"] = choices
    if format:
        schema["format"] = format
    return {"label": label, "description": description, "schema": schema}
