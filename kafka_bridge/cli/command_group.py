"""Typer's classes for this command line: commands are imported late, and their help is short."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from kafka_bridge.protocol.errors import ConfigurationError

PACKAGE = "kafka_bridge"

F = TypeVar("F", bound=Callable[..., Any])


def _without_types(params: list[Any]) -> list[Any]:
    """Leave out the type of flags, which take no value: Typer writes ``--help <bool>``."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class Command(TyperCommand):
    """A command whose help shows no type beside a flag."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the arguments and options, ``--help`` included."""
        return _without_types(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands whose help shows no type beside a flag."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options, ``--help`` included."""
        return _without_types(super().get_params(ctx))


class App(typer.Typer):
    """The commands of one module of this package.

    :param is_group: whether its commands have names of their own, also if there is only one
    :param options: Typer's; by default a group without arguments prints its help
    """

    def __init__(self, *, is_group: bool = False, **options: Any) -> None:
        # As Markdown, a paragraph of a docstring is wrapped to the terminal's width.
        usual = {"cls": Group, "add_completion": False, "rich_markup_mode": "markdown"}
        super().__init__(no_args_is_help=True, **{**usual, **options})
        if is_group:
            self.callback()(lambda: None)  # without it, Typer drops the name of an only command

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Return a decorator that makes a function a command, as in Typer."""
        return super().command(name, cls=Command, **options)


@dataclass(frozen=True, slots=True)
class CommandModule:
    """A module that defines one command, or one group of commands, as its ``app``.

    :ivar module: the module's name
    :ivar help: shown in the list of commands without an import of the module
    :ivar extra: the extra of the package that the module needs, if any
    """

    module: str
    help: str
    extra: str | None = None

    def load(self, name: str) -> Any:
        """Import the module; return its command.

        :raises ConfigurationError: a library of the extra is not installed
        """
        try:
            app: typer.Typer = importlib.import_module(self.module).app
        except ModuleNotFoundError as error:
            if self.extra is None or (error.name or PACKAGE).partition(".")[0] == PACKAGE:
                raise
            raise ConfigurationError(
                f"the {name} needs the module {error.name}, which is not installed: "
                f"pip install 'airflow-kafka-bridge[{self.extra}]'"
            ) from error
        command: Any = typer.main.get_command(app)
        command.name = name
        command.help = command.help or self.help
        return command


class LazyGroup(Group):
    """Lists its commands by their names and help texts; imports a command when it is called."""

    modules: ClassVar[Mapping[str, CommandModule]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, each in self.modules.items():
            self.commands[name] = Command(name, help=each.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the called command, imported now, and its arguments.

        :raises ConfigurationError: a library of the command's extra is not installed
        """
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.modules:
            command = self.modules[name].load(name)
        return name, command, rest
