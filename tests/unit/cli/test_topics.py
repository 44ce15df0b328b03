"""``kafka-bridge topics``: what can be said without a broker."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner, Result

from kafka_bridge.cli.app import app
from kafka_bridge.protocol.errors import ConfigurationError

from .output import plain


def run(*arguments: str, **environ: str) -> Result:
    """Run ``kafka-bridge topics`` within this process, with no brokers in the environment."""
    clean = {"COLUMNS": "200", "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""}
    return CliRunner().invoke(app, ["topics", *arguments], env={**clean, **environ})


@pytest.mark.parametrize("option", ["--longest-job", "--longest-wait"])
@pytest.mark.parametrize("command", ["create", "check"])
def test_bad_duration_is_a_usage_error(command: str, option: str) -> None:
    """The option and the right form are named; nothing is asked of Kafka."""
    result = run(command, option, "soon")
    assert result.exit_code == 2
    assert option in plain(result.output)
    assert "'soon' is no duration: write 90s, 30m, 12h or 7d" in plain(result.output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create",), "no Kafka brokers are configured: set KAFKA_BRIDGE_BOOTSTRAP_SERVERS"),
        (("check",), "no Kafka brokers are configured: set KAFKA_BRIDGE_BOOTSTRAP_SERVERS"),
        (("create", "--longest-wait", "0s"), "the longest wait must be longer than nothing"),
        (("create", "--replication", "0"), "partitions and replication must be at least 1"),
    ],
)
def test_missing_or_senseless_settings_are_configuration_errors(
    arguments: tuple[str, ...], words: str
) -> None:
    """They are errors that the command line turns into one line."""
    result = run(*arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert words in str(result.exception)


def test_acls_prints_lines_to_run_for_both_sides() -> None:
    """Every line is a kafka-acls command or a comment, with the names that were given."""
    result = run(
        *("acls", "--requests", "q", "--responses", "a", "--control", "c", "--dead-letters", "d"),
        *("--airflow", "User:af", "--worker", "User:wk", "--group", "grp"),
    )
    assert result.exit_code == 0
    airflow, worker = re.split(r"^# The service's workers\n", result.output, flags=re.MULTILINE)
    assert airflow.startswith("# Airflow: workers and triggerers\n")
    for part, principal, topics in ((airflow, "User:af", "qac"), (worker, "User:wk", "qacd")):
        lines = [line for line in part.splitlines() if not line.startswith("# ")]
        assert lines
        assert all(f"kafka-acls --add --allow-principal '{principal}'" in line for line in lines)
        assert set("".join(re.findall("--topic '(.*?)'", part))) == set(topics)
        assert all("   # " in line for line in lines)
    assert "--topic 'jobs.callbacks'" not in result.output
    assert "--topic 'cb'" in run("acls", "--callbacks", "cb").output
    assert "--group 'grp'   # say why nobody takes a job" in airflow
    assert "--group 'kafka-bridge-' --resource-pattern-type prefixed" in worker
