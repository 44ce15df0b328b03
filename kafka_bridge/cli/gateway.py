"""``kafka-bridge gateway run | check``."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
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
    from kafka_bridge.gateway.config import GatewayConfig

gateway = typer.Typer(
    help="Do jobs by services that know nothing of Kafka, as a file says.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(help="The gateway's YAML file.", metavar="FILE")]

BAD_FILE = 2
"""The exit code, as that of a bad option."""


@gateway.command("run")
def run(
    file: File,
    concurrency: Concurrency = None,
    grace: Grace = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Take jobs and have services do them, until SIGTERM or Ctrl-C; then others go on with them.

    Kafka is configured by the environment, as for `kafka-bridge worker run`. An option, or its
    variable, has the last word over what the file says.
    """
    set_up_logging(log_level, log_format)
    config = _loaded(file)
    with _extra():
        from kafka_bridge.gateway.gateway import Gateway
        from kafka_bridge.gateway.outbound import mask_logs

    running = Gateway(config)
    mask_logs(running.masked)
    worker = running.worker
    override(
        worker,
        concurrency=concurrency,
        grace=grace,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
    log = logging.getLogger("kafka_bridge.gateway")
    log.info(
        "Gateway %s of group %s: %s from %s, %d at a time",
        worker.worker_id,
        worker.group_id,
        ", ".join(sorted(worker.handlers)),
        worker.request_topic,
        worker.concurrency,
    )
    running.run(on_ready=lambda: log.info("Ready for jobs"))
    log.info("Stopped")


@gateway.command()
def check(file: File) -> None:
    """Say what a gateway with this file does, or all that is wrong in it: exit code 2."""
    config = _loaded(file)
    with _extra():
        from kafka_bridge.cli.gateway_views import print_config

    print_config(config)


def _loaded(file: Path) -> GatewayConfig:
    """Return what the file says. Where it is wrong, print that, as editors understand it."""
    with _extra():
        from kafka_bridge.gateway.yaml_file import load
    try:
        return load(file)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_FILE) from None


@contextlib.contextmanager
def _extra() -> Iterator[None]:
    """Say what to install where an import inside the block finds a library missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the gateway needs the module {error.name}, which is not installed: "
            "pip install 'airflow-kafka-bridge[gateway]'"
        ) from error
