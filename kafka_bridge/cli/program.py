"""The program of a worker, as commands name it: ``my_service:worker``."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import Worker
from kafka_bridge.worker.processes.address import WorkerAddress

Target = Annotated[
    str,
    typer.Argument(help="The Worker object, as module:attribute.", metavar="MODULE:WORKER"),
]
AppDir = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="The folder to import the module from.", file_okay=False),
]


def load_worker(target: str, app_dir: Path) -> Worker:
    """Import a program and return its worker.

    :param target: ``module:attribute``
    :param app_dir: the folder to import the module from
    :raises ConfigurationError: there is no such module or worker, or it cannot be made
    """
    sys.path.insert(0, str(app_dir.resolve()))
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise typer.BadParameter(f"{target!r} is not of the form module:attribute")
    module = _import(module_name)
    if not hasattr(module, attribute):
        raise ConfigurationError(f"module {module_name!r} has no attribute {attribute!r}")
    found = getattr(module, attribute)
    if not isinstance(found, Worker):
        raise ConfigurationError(
            f"{target} is a {type(found).__name__}, not a kafka_bridge.worker.Worker"
        )
    found.address = WorkerAddress(module_name, attribute)
    return found


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"module {name!r} was not found in {Path(sys.path[0])} or on the Python path. "
                "Run the command in the module's folder, or set --app-dir"
            ) from error
        # The module exists, but one of its own imports failed.
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigurationError(
            f"module {name!r} cannot be imported: {type(error).__name__}: {error} "
            f"({place.filename}, line {place.lineno})"
        ) from error
