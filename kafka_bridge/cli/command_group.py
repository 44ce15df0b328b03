"""A command group that imports the module of a command only when that command is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from kafka_bridge.protocol.errors import ConfigurationError

PACKAGE = "kafka_bridge"


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


class LazyGroup(TyperGroup):
    """Lists its commands by their names and help texts; imports a command when it is called."""

    modules: ClassVar[Mapping[str, CommandModule]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, each in self.modules.items():
            self.commands[name] = TyperCommand(name, help=each.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the called command, imported now, and its arguments.

        :raises ConfigurationError: a library of the command's extra is not installed
        """
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.modules:
            command = self.modules[name].load(name)
        return name, command, rest
