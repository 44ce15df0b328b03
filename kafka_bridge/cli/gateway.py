"""``kafka-bridge gateway run | check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile
from kafka_bridge.cli.gateway_views import print_config
from kafka_bridge.cli.run_options import (
    Concurrency,
    Format,
    Grace,
    Level,
    MetricsHost,
    MetricsPort,
    override,
)
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.gateway.outbound import mask_logs
from kafka_bridge.gateway.yaml_file import load
from kafka_bridge.logs import LogFormat, LogLevel, set_up_logging
from kafka_bridge.protocol.errors import ConfigurationError

app = App()

File = Annotated[Path, typer.Argument(help="The gateway's YAML file.", metavar="FILE")]

BAD_FILE = 2
"""The exit code for an invalid file, the same as for an invalid option."""


@app.command("run")
def run(
    file: File,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
    concurrency: Concurrency = None,
    grace: Grace = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Run a gateway until SIGTERM or Ctrl-C. Other gateways then take over its jobs.

    An option, or its environment variable, overrides the file.
    """
    set_up_logging(log_level, log_format)
    gateway = Gateway(_load(file))
    mask_logs(gateway.masked)
    worker = gateway.worker
    override(
        worker,
        bootstrap_servers,
        config_file,
        concurrency=concurrency,
        grace=grace,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
    gateway.run(configure_logging=False)


@app.command()
def check(file: File) -> None:
    """Check a YAML file and print what a gateway would do with it.

    If the file is invalid, all errors are printed and the exit code is 2.
    """
    print_config(_load(file))


def _load(file: Path) -> GatewayConfig:
    """Return the configuration in a file. If it is invalid, print its errors and exit.

    The errors have the form ``file:line: message``, which editors understand.
    """
    try:
        return load(file)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_FILE) from None
