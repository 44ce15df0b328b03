"""The options that ``worker run`` and ``gateway run`` have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from kafka_bridge.cli.connection import port, settings_with
from kafka_bridge.cli.durations import seconds
from kafka_bridge.kafka.config import ENV_BOOTSTRAP, environment_settings
from kafka_bridge.logs import LogFormat, LogLevel
from kafka_bridge.worker import Worker

Concurrency = Annotated[
    int | None,
    typer.Option(
        min=1,
        envvar="KAFKA_BRIDGE_CONCURRENCY",
        metavar="N",
        help="The number of jobs that this process runs at the same time.",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        min=1,
        envvar="KAFKA_BRIDGE_PROCESSES",
        metavar="N",
        help="The number of jobs that run at the same time in child processes (process=True).",
    ),
]
ForwardLogs = Annotated[
    str | None,
    typer.Option(
        envvar="KAFKA_BRIDGE_FORWARD_LOGS",
        metavar="LEVEL",
        help="From which level on what handlers log reaches their tasks' logs: debug, info, "
        "warning, error, critical, or off.",
    ),
]
Grace = Annotated[
    float | None,
    typer.Option(
        parser=seconds(0),
        metavar="SECONDS",
        envvar="KAFKA_BRIDGE_GRACE_SECONDS",
        help="The time that running jobs have to finish after SIGTERM or Ctrl-C: seconds, or 2m.",
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        parser=port(0),
        envvar="KAFKA_BRIDGE_METRICS_PORT",
        metavar="PORT",
        help="The port for /metrics, /health/live and /health/ready; 0 chooses a free port.",
    ),
]
MetricsHost = Annotated[
    str | None,
    typer.Option(
        envvar="KAFKA_BRIDGE_METRICS_HOST",
        metavar="ADDRESS",
        help="The address to listen on for them; by default all addresses of this host.",
    ),
]
Level = Annotated[
    LogLevel,
    typer.Option(
        envvar="KAFKA_BRIDGE_LOG_LEVEL",
        case_sensitive=False,
        metavar="LEVEL",
        help="The lowest level that is logged: debug, info, warning or error.",
    ),
]
Format = Annotated[
    LogFormat,
    typer.Option(
        envvar="KAFKA_BRIDGE_LOG_FORMAT",
        case_sensitive=False,
        metavar="FORMAT",
        help="text is for people. json is for machines: one JSON object per line.",
    ),
]


def override(
    worker: Worker, bootstrap_servers: str | None, config_file: Path | None, **settings: Any
) -> None:
    """Change settings of a worker; a value of None leaves the setting as it is.

    :raises ConfigurationError: the settings are invalid
    """
    if config_file is not None:
        others = environment_settings(os.environ) if worker.kafka is None else worker.kafka
        worker.kafka = settings_with(config_file, bootstrap_servers, others)
        worker.kafka_from = f"--config {config_file}"
        bootstrap_servers = None
    if bootstrap_servers is not None:
        os.environ[ENV_BOOTSTRAP] = bootstrap_servers
        if worker.kafka is not None:
            worker.kafka = {**worker.kafka, "bootstrap.servers": bootstrap_servers}
    for name, value in settings.items():
        if value is not None:
            setattr(worker, name, value)
    worker.settings()  # checks all settings together
