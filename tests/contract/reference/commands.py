"""The page of the command line, from its own help: the page has no text of an author's hand."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import typer

from kafka_bridge.cli.app import KafkaBridge, app

from .tables import REFERENCE, Table, code

PAGE = REFERENCE / "command-line.md"
PROGRAM = "kafka-bridge"
INTRODUCTION = """# Command line

Every command of `kafka-bridge`, as its `--help` says. `make reference` writes this page.

A command that fails prints one line to standard error and exits with code 1. A wrong option exits
with code 2. An option overrides its variable. Every other property of librdkafka has a variable,
too: see [Settings](settings.md#variables-of-a-worker).
"""
OF_EVERY_COMMAND = {"--help"}
MANY_COMMANDS = 2
"""An option of more groups of commands is named without them."""


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *(_section(path, each) for path, each in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command with its name and its parents': ``kafka-bridge worker run``."""
    root: Any = typer.main.get_command(app)
    yield PROGRAM, root
    for name, module in KafkaBridge.modules.items():
        yield from _with_children(f"{PROGRAM} {name}", module.load(name))


def options_by_variable() -> dict[str, list[str]]:
    """Return the options and arguments that each environment variable sets, with their commands.

    Those of ``worker run`` and ``gateway run``, and those of many commands, are named without them.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for path, command in commands():
        for option in command.params:
            is_option = option.param_type_name == "option"
            name = max(option.opts, key=len) if is_option else option.metavar.strip("[].")
            group = "" if path.endswith(" run") else " ".join(path.split()[1:2])
            for variable in _variables(option):
                groups = found.setdefault(variable, {}).setdefault(name, [])
                if group not in groups:
                    groups.append(group)
    return {
        variable: [each for name, groups in by_name.items() for each in _named(name, groups)]
        for variable, by_name in found.items()
    }


def _named(name: str, groups: list[str]) -> list[str]:
    if "" in groups or len(groups) > MANY_COMMANDS:
        return [name]
    return [f"{name}` of `{group}" for group in groups]


def _with_children(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    later = getattr(command, "modules", {})  # of a group that imports its commands late
    for name, child in getattr(command, "commands", {}).items():
        loaded = later[name].load(name) if name in later else child
        yield from _with_children(f"{path} {name}", loaded)


def _section(path: str, command: Any) -> str:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## `{path}`\n", _help(command), f"```console\n$ {usage}\n```\n"]
    arguments = [each for each in command.get_params(context) if each.param_type_name == "argument"]
    options = [
        each
        for each in command.get_params(context)
        if each.param_type_name == "option" and not OF_EVERY_COMMAND & set(each.opts)
    ]
    if arguments:
        facts = [(code(_metavar(each)), _text(each.help)) for each in arguments]
        parts.append(Table(("argument", "meaning"), facts).text({}))
    if options:
        columns = ("option", "default", "variable", "meaning")
        parts.append(Table(columns, [_row(each) for each in options]).text({}))
    return "\n".join(parts)


def _row(option: Any) -> tuple[str, ...]:
    names = ", ".join(sorted(option.opts, key=len))
    value = "" if option.is_flag else f" {_metavar(option)}"
    return (
        code(f"{names}{value}"),
        _default(option),
        ", ".join(map(code, _variables(option))),
        _text(option.help),
    )


def _metavar(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if parameter.metavar is None and isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "|".join(str(each.value) for each in kind)
    return str(parameter.metavar or parameter.name.upper())


def _default(option: Any) -> str:
    if option.required:
        return "required"
    default = getattr(option.default, "value", option.default)
    if option.is_flag or default is None or callable(default) or default in ("", (), []):
        return ""
    return code(str(default))


def _variables(option: Any) -> list[str]:
    variables = option.envvar or []
    return [variables] if isinstance(variables, str) else list(variables)


def _help(command: Any) -> str:
    paragraphs = (command.help or "").partition("\f")[0].strip().split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs) + "\n"


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
