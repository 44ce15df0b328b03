"""``kafka-bridge jobs``: what can be said without a broker."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner, Result

from kafka_bridge.cli.app import app
from kafka_bridge.protocol.errors import ConfigurationError

from .output import plain

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"


def run(*arguments: str) -> Result:
    """Run ``kafka-bridge jobs`` within this process, with no brokers in the environment."""
    clean = {"COLUMNS": "200", "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""}
    return CliRunner().invoke(app, ["jobs", *arguments], env=clean)


@pytest.mark.parametrize("job", ["42", JOB.upper(), JOB.replace("-", ""), f"{JOB}0"])
def test_what_is_no_correlation_id_is_refused(job: str) -> None:
    """A wrong id is a usage error that says what one looks like; nothing is asked of Kafka."""
    result = run("cancel", JOB, job)
    assert result.exit_code == 2
    assert f"'{job}' is no correlation id: those are UUIDs in lower case" in plain(result.output)


def test_without_brokers() -> None:
    """Where no brokers are configured, the error says how to name them."""
    result = run("cancel", JOB)
    assert isinstance(result.exception, ConfigurationError)
    assert "set KAFKA_BRIDGE_BOOTSTRAP_SERVERS" in str(result.exception)
