"""Airflow connections as client configuration: what works, and the words where one does not."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from airflow_versions import since_airflow

from kafka_bridge.airflow import hooks
from kafka_bridge.airflow.hooks import KafkaBridgeHook, kafka_config
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.testing import EmbeddedBroker

ALLOW_LIST = "AIRFLOW__APACHE_KAFKA__CALLBACK_ALLOWLIST"
SERVERS = {"bootstrap.servers": "kafka:9092"}
UNTRUSTED = "kafka_bridge.airflow.hooks.kafka_config"
has_callbacks = pytest.mark.skipif(
    not hasattr(KafkaBridgeHook, "_resolve_callbacks"),
    reason="the Kafka provider has callbacks since 2.0",
)


@pytest.fixture(autouse=True)
def no_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from Airflow's own default, whatever the environment of the tests says."""
    monkeypatch.delenv(ALLOW_LIST, raising=False)


def connect(monkeypatch: pytest.MonkeyPatch, extra: Any) -> None:
    """Give Airflow a connection ``mine``."""
    value = json.dumps({"conn_type": "kafka", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_MINE", value)


def test_every_property_of_the_extra_reaches_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every property of the connection's extra reaches the client."""
    extra = {**SERVERS, "sasl.username": "me", "sasl.password": "very-secret"}
    connect(monkeypatch, extra)
    config = kafka_config("mine")
    assert dict(config.settings) == extra
    assert "very-secret" not in repr(config)


def test_error_of_an_unknown_connection_names_it_and_says_how_to_create_it() -> None:
    """The error names the connection, and says how to make it or take another."""
    with pytest.raises(ConfigurationError) as caught:
        kafka_config("nowhere")
    assert str(caught.value).startswith("Airflow has no usable connection 'nowhere' (")
    assert str(caught.value).endswith(
        'create one of type kafka whose extra is {"bootstrap.servers": "…"}, '
        "or set kafka_config_id to another"
    )


MISSING = "config['bootstrap.servers'] must be provided."
FAULTS = [
    ({}, MISSING),
    ({"group.id": "g"}, MISSING),
    ({"bootstrap.servers": ""}, MISSING),
    ({"bootstrap.servers": ["kafka:9092"]}, "'list' object has no attribute 'find'"),
    pytest.param(
        ["kafka:9092"],
        "'list' object has no attribute 'get'",
        marks=since_airflow("3.2", "connections with such an extra"),
    ),
    pytest.param(
        {**SERVERS, "error_cb": UNTRUSTED},
        f"Refusing to resolve Kafka callback error_cb='{UNTRUSTED}': "
        "the [apache_kafka] callback_allowlist is empty.",
        marks=has_callbacks,
    ),
]


@pytest.mark.parametrize(("extra", "words"), FAULTS)
def test_error_of_an_invalid_extra_names_the_connection_and_the_fault(
    monkeypatch: pytest.MonkeyPatch, extra: Any, words: str
) -> None:
    """The error names the connection and its extra, and says what the provider has against it."""
    connect(monkeypatch, extra)
    with pytest.raises(ConfigurationError) as caught:
        kafka_config("mine")
    assert str(caught.value) == f"the extra of connection 'mine' cannot be used: {words}"


def test_connection_without_brokers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URI with host and port alone lacks the brokers, and the error says so."""
    monkeypatch.setenv("AIRFLOW_CONN_MINE", "kafka://kafka:9092")
    with pytest.raises(ConfigurationError, match=r"bootstrap\.servers"):
        kafka_config("mine")


@has_callbacks
def test_callback_on_the_allow_list_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator's allow-list lets exactly the callbacks on it through."""
    monkeypatch.setenv(ALLOW_LIST, "os.path.join, os.path.nothing_there")
    connect(monkeypatch, {**SERVERS, "error_cb": "os.path.join"})
    assert kafka_config("mine").settings["error_cb"] is os.path.join


@has_callbacks
@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (UNTRUSTED, "it is not in the [apache_kafka] callback_allowlist (no.such.module.cb)"),
        ("no.such.module.cb", "No module named 'no'"),
    ],
)
def test_callback_off_the_allow_list_or_missing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, callback: str, words: str
) -> None:
    """A callback off the list is refused, one that cannot be imported is an error in words."""
    monkeypatch.setenv(ALLOW_LIST, "no.such.module.cb")
    connect(monkeypatch, {**SERVERS, "error_cb": callback})
    with pytest.raises(ConfigurationError, match="the extra of connection 'mine'") as caught:
        kafka_config("mine")
    assert words in str(caught.value)


def test_blank_fields_of_the_form_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection of the bridge's own type holds what its form was filled in with, no blanks."""
    extra = {**SERVERS, "sasl.username": "", "sasl.password": None, "security.protocol": "SSL"}
    value = json.dumps({"conn_type": "kafka_bridge", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_MINE", value)
    assert dict(kafka_config("mine").settings) == {**SERVERS, "security.protocol": "SSL"}


def press() -> tuple[bool, str]:
    """Press the button."""
    return KafkaBridgeHook("mine").test_connection()  # type: ignore[no-untyped-call]


def test_test_button_reports_the_number_of_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The button in the connection form says that brokers answer, and how many."""
    with EmbeddedBroker() as broker:
        connect(monkeypatch, {"bootstrap.servers": broker.bootstrap_servers})
        assert press() == (True, "Connected: 1 broker.")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"bootstrap.servers": "127.0.0.1:9"}, "no Kafka broker answered at 127.0.0.1:9 while"),
        ({}, f"the extra of connection 'mine' cannot be used: {MISSING}"),
        ({**SERVERS, "sasl.nothing": "x"}, "invalid Kafka configuration: "),
    ],
)
def test_test_button_reports_the_error_of_a_task(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], words: str
) -> None:
    """What is wrong is said in the words that a task would say it in."""
    monkeypatch.setattr(hooks, "ANSWER_SECONDS", 0.5)
    connect(monkeypatch, extra)
    ok, said = press()
    assert not ok
    assert said.startswith(words)
