"""``kafka-bridge worker run my_module:worker``."""

from __future__ import annotations

import importlib
import sys
import traceback
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile
from kafka_bridge.cli.run_options import (
    Concurrency,
    Format,
    Grace,
    Level,
    MetricsHost,
    MetricsPort,
    Processes,
    override,
)
from kafka_bridge.logs import LogFormat, LogLevel, set_up_logging
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import Worker
from kafka_bridge.worker.processes.address import WorkerAddress

app = App()


@app.callback()
def _group() -> None:  # makes `run` a subcommand, although it is the only one
    pass


Target = Annotated[
    str,
    typer.Argument(help="The Worker object, as module:attribute.", metavar="MODULE:WORKER"),
]
AppDir = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="The folder to import the module from.", file_okay=False),
]


@app.command("run")
def run(
    target: Target,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
    concurrency: Concurrency = None,
    processes: Processes = None,
    grace: Grace = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    app_dir: AppDir = Path(),
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Run a worker until SIGTERM or Ctrl-C. It then finishes the jobs that are running.

    An option, or its environment variable, overrides what the program sets.
    """
    set_up_logging(log_level, log_format)
    worker = load_worker(target, app_dir)
    override(
        worker,
        bootstrap_servers,
        config_file,
        concurrency=concurrency,
        processes=processes,
        grace=grace,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
    worker.child_set_up = partial(set_up_logging, log_level, log_format)
    worker.run(configure_logging=False)


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
