"""``kafka-bridge dead-letters``: what is refused before a broker is asked."""

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
        (("list", "--correlation-id", "X"), "'X' is no correlation id: that is UUID text in lower"),
        (
            ("show", "17"),
            "'17' is not the location of a record: write partition@offset, for",
        ),
        (("show", "a@b"), "'a@b' is not the location of a record"),
        (("show", "topic[0]"), "'topic[0]' is not the location of a record"),
        (("show", "0@17@1"), "'0@17@1' is not the location of a record"),
        (("show", "-1@0"), "No such option: -1"),
        (("show", "0@" + "9" * 19), "is not the location of a record"),
        (("replay", "0@0", "nowhere"), "'nowhere' is not the location of a record"),
        (("replay",), "name the places of the letters to replay, or --all: one of both"),
        (("replay", "0@0", "--all"), "name the places of the letters to replay, or --all: one of"),
        (("replay", "0@0", "--since", "2h"), "filters go with --all"),
        (("replay", "0@0", "--limit", "2"), "filters go with --all"),
    ],
)
def test_bad_argument_is_said_in_words(arguments: tuple[str, ...], words: str) -> None:
    """Each mistake has its own words; no broker has to be there."""
    result = CliRunner().invoke(app, ["dead-letters", *arguments], env=NOBODY)
    assert result.exit_code in {1, 2}
    assert isinstance(result.exception, ConfigurationError | SystemExit)
    assert words in f"{result.exception} {plain(result.output)}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--since", "soon"), "'soon' is no time: write 90s, 30m, 12h or 7d"),
        (("list", "--limit", "0"), "Input should be greater than or equal to 1"),
    ],
)
def test_bad_filter_is_a_usage_error(arguments: tuple[str, ...], words: str) -> None:
    """The option is named, exit code 2."""
    result = CliRunner().invoke(app, ["dead-letters", *arguments], env=NOBODY)
    assert result.exit_code == 2
    assert arguments[1] in plain(result.output)
    assert words in plain(result.output)


def test_no_brokers_are_configured() -> None:
    """The variable to set is named."""
    environ = {"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""}
    result = CliRunner().invoke(app, ["dead-letters", "list"], env=environ)
    assert isinstance(result.exception, ConfigurationError)
    assert "set KAFKA_BRIDGE_BOOTSTRAP_SERVERS" in str(result.exception)
