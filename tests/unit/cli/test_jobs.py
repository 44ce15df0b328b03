"""``kafka-bridge jobs``: what can be said without a broker."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from typer.testing import CliRunner, Result

from kafka_bridge.cli.app import app
from kafka_bridge.kafka import producer
from kafka_bridge.protocol.errors import ConfigurationError, DeliveryFailed, RecordLocation

from .output import plain

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"


def run(*arguments: str) -> Result:
    """Run ``kafka-bridge jobs`` within this process, with no brokers in the environment."""
    clean = {"COLUMNS": "200", "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""}
    return CliRunner().invoke(app, ["jobs", *arguments], env=clean)


@pytest.mark.parametrize("job", ["42", JOB.upper(), JOB.replace("-", ""), f"{JOB}0"])
def test_invalid_correlation_id_is_refused(job: str) -> None:
    """A wrong id is a usage error that says what one looks like; nothing is asked of Kafka."""
    result = run("cancel", JOB, job)
    assert result.exit_code == 2
    assert f"'{job}' is not a correlation id. Expected a UUID in lower case" in plain(result.output)


def test_infinite_timeout_is_refused() -> None:
    """It would wait forever."""
    result = run("cancel", JOB, "--timeout", "inf")
    assert result.exit_code == 2
    assert "at least 0.1, or a duration such as 2m, " in plain(result.output)


def test_failed_command_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job has its line; exit code 1 where one was not sent."""
    jobs = [JOB, JOB.replace("0d3b", "1d3b"), JOB.replace("0d3b", "2d3b")]
    sent: list[Future[RecordLocation]] = [Future() for _ in jobs]
    sent[0].set_exception(DeliveryFailed("no leader"))
    sent[1].set_result(RecordLocation("jobs.control", 0, 7))
    sent[2].set_exception(DeliveryFailed("no leader"))
    answers = iter(sent)
    monkeypatch.setattr(producer.RecordProducer, "connect", lambda *_: None)
    monkeypatch.setattr(producer.RecordProducer, "send", lambda *_: next(answers))
    result = CliRunner().invoke(
        app, ["jobs", "cancel", *jobs], env={"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    )
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{jobs[0]}: CANCEL not sent: no leader",
        f"{jobs[1]}: CANCEL sent (jobs.control[0]@7)",
        f"{jobs[2]}: CANCEL not sent: no leader",
    ]


def test_error_names_the_variable_when_no_brokers_are_configured() -> None:
    """Where no brokers are configured, the error says how to name them."""
    result = run("cancel", JOB)
    assert isinstance(result.exception, ConfigurationError)
    assert "set KAFKA_BRIDGE_BOOTSTRAP_SERVERS" in str(result.exception)
