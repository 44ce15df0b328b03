"""``kafka-bridge worker run | check my_module:worker``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile
from kafka_bridge.cli.doctor.options import AsJson, LongestJob, Timeout
from kafka_bridge.cli.doctor.report import report
from kafka_bridge.cli.doctor.worker import worker_checks
from kafka_bridge.cli.durations import LongestWait
from kafka_bridge.cli.program import AppDir, Target, load_worker
from kafka_bridge.cli.reload import run_and_reload
from kafka_bridge.cli.run_options import (
    Concurrency,
    Format,
    ForwardLogs,
    Grace,
    Level,
    MetricsHost,
    MetricsPort,
    Processes,
    override,
)
from kafka_bridge.logs import LogFormat, LogLevel, set_up_logging

app = App()


Reload = Annotated[
    bool,
    typer.Option(
        "--reload",
        help="For development: start the worker again when a Python file in --app-dir changes.",
    ),
]


@app.command("run")
def run(
    target: Target,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
    concurrency: Concurrency = None,
    processes: Processes = None,
    forward_logs: ForwardLogs = None,
    grace: Grace = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    app_dir: AppDir = Path(),
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.TEXT,
    reload: Reload = False,
) -> None:
    """Run a worker until SIGTERM or Ctrl-C. It then finishes the jobs that are running.

    An option, or its environment variable, overrides what the program sets.
    """
    set_up_logging(log_level, log_format)
    if reload:
        run_and_reload(app_dir)
        return
    worker = load_worker(target, app_dir)
    override(
        worker,
        bootstrap_servers,
        config_file,
        concurrency=concurrency,
        processes=processes,
        forward_logs=forward_logs,
        grace=grace,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
    worker.child_set_up = partial(set_up_logging, log_level, log_format)
    worker.run(configure_logging=False)


@app.command()
def check(
    target: Target,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
    app_dir: AppDir = Path(),
    longest_job: LongestJob = "7d",  # type: ignore[assignment]
    longest_wait: LongestWait = "7d",  # type: ignore[assignment]
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Check a worker without a job: its handlers, settings, topics and permissions.

    It does what `kafka-bridge doctor worker` does, and also lists each handler with its payload,
    and each setting with what sets it. It changes nothing. The exit code is 1 if a finding is an
    error.
    """
    checks = worker_checks(
        partial(load_worker, target, app_dir),
        bootstrap_servers,
        config_file,
        longest_job,
        longest_wait,
        in_full=True,
    )
    report(checks, timeout, as_json=as_json)
