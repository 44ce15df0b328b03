"""How commands reach Kafka: the option, the file and the variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_bridge.cli.connection import kafka_config
from kafka_bridge.cli.run_options import override
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import Worker

SECRET = "hunter2-of-the-team"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set variables that name other brokers and another user."""
    monkeypatch.setenv("KAFKA_BRIDGE_BOOTSTRAP_SERVERS", "environment:1")
    monkeypatch.setenv("KAFKA_BRIDGE_KAFKA_SASL_USERNAME", "environments")
    monkeypatch.setenv("KAFKA_BRIDGE_KAFKA_CLIENT_RACK", "r1")


def written(folder: Path, text: str) -> Path:
    """Return a file with a text."""
    file = folder / "client.properties"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("option", "text", "servers"),
    [
        ("option:1", "bootstrap.servers=file:1", "option:1"),
        ("environment:1", "bootstrap.servers=file:1", "file:1"),  # typer passes the variable on
        (None, "bootstrap.servers=file:1", "file:1"),
        ("environment:1", "", "environment:1"),
        (None, "", "environment:1"),
        ("option:1", "", "option:1"),
    ],
)
def test_option_comes_before_the_file_and_the_file_before_variables(
    tmp_path: Path, option: str | None, text: str, servers: str
) -> None:
    """Property by property."""
    file = written(tmp_path, f"sasl.username=files\n{text}\n")
    assert kafka_config(option, file).settings == {
        "bootstrap.servers": servers,
        "sasl.username": "files",
        "client.rack": "r1",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sasl.pasword=x", 'No such configuration property: "sasl.pasword"'),
        ("security.protocol=TLS", 'Invalid value "TLS" for configuration property'),
        (f"ssl.ca.pem={SECRET}", "ssl.ca.pem"),
    ],
)
def test_wrong_property_is_named_with_the_file_and_no_secret(
    tmp_path: Path, line: str, words: str
) -> None:
    """In librdkafka's words."""
    text = f"bootstrap.servers=file:1\nsasl.password={SECRET}\nsecurity.protocol=SSL\n{line}\n"
    file = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as raised:
        kafka_config(None, file)
    assert str(raised.value).startswith(f"--config {file}: invalid Kafka configuration: ")
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)


def test_file_of_worker_run_overrides_the_program(tmp_path: Path) -> None:
    """Its other properties are kept; errors say that the addresses come from the file."""
    file = written(tmp_path, "bootstrap.servers=file:1\n")
    own = Worker("g", kafka={"bootstrap.servers": "program:1", "sasl.username": "programs"})
    override(own, "environment:1", file)
    assert own.kafka_config().settings == {
        "bootstrap.servers": "file:1",
        "sasl.username": "programs",
    }
    assert own._servers_from() == f"--config {file}"
    plain = Worker("g")
    override(plain, "option:1", file)
    assert plain.kafka_config().settings["bootstrap.servers"] == "option:1"
    assert plain.kafka_config().settings["sasl.username"] == "environments"
