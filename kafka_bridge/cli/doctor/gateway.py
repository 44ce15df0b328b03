"""``kafka-bridge doctor gateway``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile
from kafka_bridge.cli.doctor.options import AsJson, LongestJob, Timeout
from kafka_bridge.cli.doctor.report import report
from kafka_bridge.cli.doctor.worker import worker_checks
from kafka_bridge.cli.durations import LongestWait
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.gateway.yaml_file import load

app = App()


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The gateway's YAML file.", metavar="FILE")],
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
    longest_job: LongestJob = "7d",  # type: ignore[assignment]
    longest_wait: LongestWait = "7d",  # type: ignore[assignment]
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Check a gateway's file and variables, its connection, topics and permissions.

    Run it where the gateway runs, with the same environment. It does not call the services of the
    file, and changes nothing. The exit code is 1 if a finding is an error.
    """
    checks = worker_checks(
        lambda: Gateway(load(file)).worker,
        bootstrap_servers,
        config_file,
        longest_job,
        longest_wait,
    )
    report(checks, timeout, as_json=as_json)
