"""``kafka-bridge worker run my_module:worker``."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kafka_bridge.cli.logs import LogFormat, LogLevel, set_up_logging
from kafka_bridge.cli.run_options import (
    Concurrency,
    Format,
    Grace,
    Level,
    MetricsHost,
    MetricsPort,
    override,
)
from kafka_bridge.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType

    from kafka_bridge.worker import Worker

worker = typer.Typer(help="Run a service's worker.", no_args_is_help=True)


@worker.callback()
def _group() -> None:
    """Run a service's worker."""


Target = Annotated[
    str, typer.Argument(help="Where the Worker is, as module:attribute.", metavar="MODULE:WORKER")
]
AppDir = Annotated[
    Path, typer.Option(help="The folder to import the module from.", file_okay=False)
]


@worker.command("run")
def run(
    target: Target,
    concurrency: Concurrency = None,
    grace: Grace = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    app_dir: AppDir = Path(),
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Take jobs until SIGTERM or Ctrl-C, then finish those at hand.

    Kafka is configured by the environment: KAFKA_BRIDGE_BOOTSTRAP_SERVERS, and for every other
    property of librdkafka KAFKA_BRIDGE_KAFKA_<NAME>, for example KAFKA_BRIDGE_KAFKA_SASL_USERNAME.
    An option, or its variable, has the last word over what the program sets.
    """
    set_up_logging(log_level, log_format)
    sys.path.insert(0, str(app_dir.resolve()))
    found = _load(target)
    override(
        found,
        concurrency=concurrency,
        grace=grace,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
    log = logging.getLogger("kafka_bridge.worker")
    log.info(
        "Worker %s of group %s: %s from %s, %d at a time",
        found.worker_id,
        found.group_id,
        ", ".join(sorted(found.handlers)) or "nothing",
        found.request_topic,
        found.concurrency,
    )
    found.run(on_ready=lambda: log.info("Ready for jobs"))
    log.info("Stopped")


def _load(target: str) -> Worker:
    from kafka_bridge.worker import Worker

    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise typer.BadParameter(f"{target!r} is not of the form module:attribute")
    module = _import(module_name)
    found = getattr(module, attribute, None)
    if not isinstance(found, Worker):
        raise ConfigurationError(
            f"{target} is no kafka_bridge.worker.Worker, but "
            + ("is not there" if found is None else f"a {type(found).__name__}")
        )
    return found


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"there is no module {name!r} in {Path(sys.path[0])} or on the Python path: "
                "run this where the module lies, or set --app-dir"
            ) from error
        # The module is there, and imports something that is not.
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigurationError(
            f"module {name!r} cannot be imported: {type(error).__name__}: {error} "
            f"({place.filename}, line {place.lineno})"
        ) from error
