"""What a worker under test finds in its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_bridge.conformance.patience import Patience
from kafka_bridge.conformance.setup import Setup
from kafka_bridge.conformance.target import variables
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.encodings import Encoding


def environ_of(monkeypatch: pytest.MonkeyPatch, **properties: str) -> dict[str, str]:
    """Return the environment of a worker for a broker with these properties."""
    monkeypatch.setenv("OTHER", "kept")
    monkeypatch.setenv("KAFKA_BRIDGE_REQUEST_TOPIC", "of.production")
    monkeypatch.setenv("KAFKA_BRIDGE_KAFKA_SASL_PASSWORD", "of another broker")
    named = {name.replace("_", "."): value for name, value in properties.items()}
    config = KafkaConfig({"bootstrap.servers": "kafka:9092", **named})
    setup = Setup(config, TopicNames("r"), "g", Encoding.JSON, Patience(2))
    return variables(setup, Path("/notes"))


def test_worker_gets_the_topics_of_its_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of a production worker in the same shell do not reach the worker under test."""
    environ = environ_of(monkeypatch)
    assert environ["KAFKA_BRIDGE_REQUEST_TOPIC"] == "r"
    assert environ["KAFKA_BRIDGE_CONFORMANCE_ENCODING"] == "json"
    assert environ["OTHER"] == "kept"
    assert environ["KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS"] == "12000"


def test_worker_gets_the_credentials_of_its_broker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit's own broker has none, and a file of properties reaches the worker, too."""
    assert "KAFKA_BRIDGE_KAFKA_SASL_PASSWORD" not in environ_of(monkeypatch)
    environ = environ_of(monkeypatch, sasl_password="secret", log_level="3")
    assert environ["KAFKA_BRIDGE_KAFKA_SASL_PASSWORD"] == "secret"
