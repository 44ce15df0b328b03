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
def test_what_is_no_correlation_id_is_refused(job: str) -> None:
    """A wrong id is a usage error that says what one looks like; nothing is asked of Kafka."""
    result = run("cancel", JOB, job)
    assert result.exit_code == 2
    assert f"'{job}' is no correlation id: those are UUIDs in lower case" in plain(result.output)


def test_timeout_without_end_is_refused() -> None:
    """A number that is none would be a wait for ever."""
    result = run("cancel", JOB, "--timeout", "inf")
    assert result.exit_code == 2
    assert "expected a number of seconds, at least 0.1, not 'inf'" in plain(result.output)


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
        f"{jobs[0]}: CANCEL is not sent: no leader",
        f"{jobs[1]}: CANCEL is sent (jobs.control[0]@7)",
        f"{jobs[2]}: CANCEL is not sent: no leader",
    ]


def test_without_brokers() -> None:
    """Where no brokers are configured, the error says how to name them."""
    result = run("cancel", JOB)
    assert isinstance(result.exception, ConfigurationError)
    assert "set KAFKA_BRIDGE_BOOTSTRAP_SERVERS" in str(result.exception)
