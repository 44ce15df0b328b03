"""``kafka-bridge dead-letters``: errors that need no broker."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from kafka_bridge.cli.app import app
from kafka_bridge.protocol.errors import ConfigurationError

from .output import plain

NOBODY = {"COLUMNS": "200", "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "127.0.0.1:9"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("list", "--correlation-id", "X"),
            "'X' is not a correlation id: expected a UUID",
        ),
        (("show", "17"), "'17' is not the location of a record: write partition@offset"),
        (("show", "a@b"), "'a@b' is not the location of a record"),
        (("show", "topic[0]"), "'topic[0]' is not the location of a record"),
        (("show", "0@17@1"), "'0@17@1' is not the location of a record"),
        (("show", "-1@0"), "No such option: -1"),
        (("show", "0@" + "9" * 19), "is not the location of a record"),
        (("replay", "0@0", "nowhere"), "'nowhere' is not the location of a record"),
        (("replay",), "give either locations of dead letters, or --all"),
        (("replay", "0@0", "--all"), "give either locations of dead letters, or --all"),
        (("replay", "0@0", "--since", "2h"), "filters can be used with --all only"),
        (("replay", "0@0", "--limit", "2"), "filters can be used with --all only"),
    ],
)
def test_each_invalid_argument_has_its_own_error_and_needs_no_broker(
    arguments: tuple[str, ...], words: str
) -> None:
    """The error says what was expected; no broker has to run."""
    result = CliRunner().invoke(app, ["dead-letters", *arguments], env=NOBODY)
    assert result.exit_code in {1, 2}
    assert isinstance(result.exception, ConfigurationError | SystemExit)
    assert words in f"{result.exception} {plain(result.output)}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("list", "--since", "soon"),
            "'soon' is not a time. Write how long ago",
        ),
        (("list", "--limit", "0"), "Input should be greater than or equal to 1"),
    ],
)
def test_invalid_filter_is_a_usage_error_that_names_the_option(
    arguments: tuple[str, ...], words: str
) -> None:
    """The option is named, exit code 2."""
    result = CliRunner().invoke(app, ["dead-letters", *arguments], env=NOBODY)
    assert result.exit_code == 2
    assert arguments[1] in plain(result.output)
    assert words in plain(result.output)


def test_error_names_the_variable_when_no_brokers_are_configured() -> None:
    """The user learns which variable to set."""
    environ = {"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""}
    result = CliRunner().invoke(app, ["dead-letters", "list"], env=environ)
    assert isinstance(result.exception, ConfigurationError)
    assert "set KAFKA_BRIDGE_BOOTSTRAP_SERVERS" in str(result.exception)
