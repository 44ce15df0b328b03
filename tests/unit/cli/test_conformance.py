"""``kafka-bridge conformance``: what can be said without a worker."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner, Result

from kafka_bridge.cli.app import app
from kafka_bridge.conformance.sequence import WorkerSilent
from kafka_bridge.protocol.errors import ConfigurationError

from .output import plain


def run(*arguments: str) -> Result:
    """Run the command within this process, with no brokers in the environment."""
    clean = {"COLUMNS": "200", "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "", "KAFKA_BRIDGE_GROUP_ID": ""}
    return CliRunner().invoke(app, ["conformance", *arguments], env=clean)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--level", "1"), "say what is tested: --command"),
        (("--command", "w", "--running"), "say what is tested: --command"),
        (("--running",), "set it to the consumer group of the running worker"),
        (("--command", "w", "--encoding", "xml"), "expected some of avro, json, not 'xml'"),
        (("--command", "w", "--level", "4"), "--level"),
        (("--command", "w", "--patience", "0"), "expected a number, at least 0.5, not '0'"),
    ],
)
def test_wrong_options_are_usage_errors(arguments: tuple[str, ...], words: str) -> None:
    """The text says what to do; no broker is started."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in plain(result.output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--command", ""), "--command is empty: write how the worker is started"),
        (("--command", "w 'x"), "--command cannot be split"),
        (("--command", "w", "--probe", "L1-NONE"), "there is no probe L1-NONE"),
        (("--running", "--group-id", "g"), "no Kafka brokers are configured: set KAFKA_BRIDGE_"),
        (("--command", "/no/such/worker"), "the worker '/no/such/worker' cannot be started"),
        (("--command", "false"), "the worker ended with exit code 1 before it published anything"),
    ],
)
def test_run_that_cannot_be_made_is_a_clear_error(arguments: tuple[str, ...], words: str) -> None:
    """They are errors that the command line turns into one line and exit code 1."""
    result = run(*arguments, "--level", "1", "--encoding", "json")
    assert isinstance(result.exception, ConfigurationError | WorkerSilent)
    assert words in str(result.exception)


def test_list_shows_the_probes_of_the_levels_with_their_rules() -> None:
    """Nothing is started, and no worker has to be named."""
    result = run("--list", "--level", "2")
    assert result.exit_code == 0
    lines = plain(result.output).splitlines()
    assert "L1-REPLY-KEY: The key of every record is the correlation id of its job." in lines
    assert any(line.startswith("L1-DATA-BLOCKS (avro only): ") for line in lines)
    assert {line[:2] for line in lines} == {"L1", "L2"}
