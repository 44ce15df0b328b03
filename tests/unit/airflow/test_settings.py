"""The section [kafka_bridge] of Airflow's configuration, and what it changes."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.airflow import KafkaJobOperator
from kafka_bridge.airflow.settings import CONFIGURED
from kafka_bridge.airflow.submit.requests import new_request
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ConfigurationError

from .samples import context


def configure(monkeypatch: pytest.MonkeyPatch, **options: str) -> None:
    """Set options as an administrator does, by environment variables."""
    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__KAFKA_BRIDGE__{name.upper()}", value)


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator."""
    return KafkaJobOperator(**{"task_id": "work", "job_type": "files.audit", **arguments})


def test_options_are_the_defaults_of_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option is the default of the argument of its name."""
    configure(
        monkeypatch,
        kafka_config_id="theirs",
        request_topic="q",
        response_topic="a",
        control_topic="c",
        encoding="json",
        heartbeat_interval="1.5",
        heartbeat_timeout="7",
        schedule_to_start_timeout="8",
        start_to_close_timeout="9",
        schedule_to_close_timeout="10",
    )
    made = operator()
    assert made.kafka_config_id == "theirs"
    assert (made.request_topic, made.response_topic, made.control_topic) == ("q", "a", "c")
    assert made.encoding is Encoding.JSON
    assert (made.heartbeat_interval, made.heartbeat_timeout) == (1.5, 7)
    assert (made.schedule_to_start_timeout, made.start_to_close_timeout) == (8, 9)
    assert made.schedule_to_close_timeout == 10


def test_arguments_of_a_dag_win_over_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument is stronger than an option, None too."""
    configure(monkeypatch, request_topic="q", schedule_to_start_timeout="8", encoding="json")
    made = operator(request_topic="mine", schedule_to_start_timeout=None, encoding="avro")
    assert (made.request_topic, made.schedule_to_start_timeout) == ("mine", None)
    assert made.encoding is Encoding.AVRO


def test_empty_timeout_means_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option left empty is a timeout that never ends a wait."""
    configure(monkeypatch, schedule_to_start_timeout="", start_to_close_timeout="")
    made = operator()
    assert (made.schedule_to_start_timeout, made.start_to_close_timeout) == (None, None)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("encoding", "xml", "[kafka_bridge] encoding must be 'avro' or 'json', not 'xml'"),
        (
            "heartbeat_timeout",
            "soon",
            "[kafka_bridge] heartbeat_timeout must be a timedelta or seconds, not 'soon'",
        ),
        (
            "schedule_to_start_timeout",
            "-1",
            "[kafka_bridge] schedule_to_start_timeout must be greater than 0 s, not -1 s",
        ),
        (
            "heartbeat_interval",
            "",
            "[kafka_bridge] heartbeat_interval must be a timedelta or seconds, not ''",
        ),
    ],
)
def test_error_of_an_invalid_option_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    """The error says that it is the configuration that is wrong, not the DAG, and where."""
    configure(monkeypatch, **{name: value})
    with pytest.raises(ConfigurationError) as caught:
        operator()
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("source", "base_url", "expected"),
    [
        ("production", "http://airflow.example.com", "production"),
        ("", "http://airflow.example.com", "http://airflow.example.com"),
        ("", "", "airflow"),
    ],
)
def test_source_names_the_deployment(
    monkeypatch: pytest.MonkeyPatch, source: str, base_url: str, expected: str
) -> None:
    """Requests name this Airflow: as configured, else by its address."""
    configure(monkeypatch, source=source)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    task = new_request(operator().spec, context()["ti"], 1).task
    assert task is not None
    assert task.source == expected


def test_default_reads_well_in_a_signature() -> None:
    """Whoever asks for help on an operator sees a word, not an object's address."""
    assert repr(CONFIGURED) == "CONFIGURED"
