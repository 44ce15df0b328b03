"""What ``--help`` and ``--version`` print, of every command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from kafka_bridge import __version__
from kafka_bridge.cli.app import KafkaBridge, app

from .output import plain

OFFLINE = {"gateway check", "broker", "doctor airflow"}
"""The commands that do not connect to a Kafka of the user's, or by Airflow's connection."""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command that can be called, with its name."""
    for name, module in KafkaBridge.modules.items():
        command = module.load(name)
        children = dict(getattr(command, "commands", {}))
        later = getattr(command, "modules", {})  # of a group that imports its commands late
        children.update({child: each.load(child) for child, each in later.items()})
        if children:
            yield from ((f"{name} {child}", each) for child, each in children.items())
        else:
            yield name, command


COMMANDS = dict(commands())
GROUPS = ["", *KafkaBridge.modules]


def options(command: Any) -> list[Any]:
    """Return the options of a command, those of typer's own too."""
    with typer.Context(command) as context:
        return [each for each in command.get_params(context) if each.param_type_name == "option"]


def help_of(name: str) -> str:
    """Return the help of a command on a terminal of 80 columns."""
    result = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return plain(result.output)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    """Nobody has to guess what an option is for."""
    found = options(COMMANDS[name])
    assert found
    assert [each.name for each in found if not each.help] == []


@pytest.mark.parametrize("name", [*GROUPS, *COMMANDS])
def test_help_shows_no_type_beside_a_flag(name: str) -> None:
    """A flag takes no value."""
    assert "--help" in help_of(name)
    assert "bool" not in help_of(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_names_of_variables_are_whole_at_80_columns(name: str) -> None:
    """A name that is cut cannot be copied."""
    text = help_of(name)
    for option in options(COMMANDS[name]):
        if option.envvar:
            assert option.envvar in text
    assert not re.search(r"\w…", text.replace("PORT,…", "").replace("ID…", ""))


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - OFFLINE))
def test_every_command_that_connects_has_the_same_option_for_the_brokers(name: str) -> None:
    """One option, one variable, one text."""
    (found,) = [each for each in options(COMMANDS[name]) if "--bootstrap-servers" in each.opts]
    (first,) = [
        each for each in options(COMMANDS["topics check"]) if "--bootstrap-servers" in each.opts
    ]
    assert found.envvar == "KAFKA_BRIDGE_BOOTSTRAP_SERVERS"
    assert (found.envvar, found.metavar, found.help) == (first.envvar, first.metavar, first.help)
    assert [each for each in options(COMMANDS[name]) if "--config" in each.opts]


TOPIC_VARIABLES = {
    "--requests": "KAFKA_BRIDGE_REQUEST_TOPIC",
    "--responses": "KAFKA_BRIDGE_RESPONSE_TOPIC",
    "--control": "KAFKA_BRIDGE_CONTROL_TOPIC",
    "--dead-letters": "KAFKA_BRIDGE_DEAD_LETTER_TOPIC",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_for_a_topic_has_the_variable_of_workers(name: str) -> None:
    """Who has set it for a worker need not name the topic again."""
    for option in options(COMMANDS[name]):
        for spelled in option.opts:
            assert option.envvar == TOPIC_VARIABLES.get(spelled, option.envvar)


def test_version_is_printed() -> None:
    """It is the package's."""
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"kafka-bridge {__version__}\n")
