"""The options of what runs until it is told to stop: a worker, or a gateway, which is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kafka_bridge.cli.durations import seconds
from kafka_bridge.cli.logs import LogFormat, LogLevel

if TYPE_CHECKING:
    from kafka_bridge.worker import Worker

Concurrency = Annotated[
    int | None,
    typer.Option(
        min=1,
        envvar="KAFKA_BRIDGE_CONCURRENCY",
        help="How many jobs run at a time in this process.",
    ),
]
Grace = Annotated[
    float | None,
    typer.Option(
        parser=seconds(0),
        metavar="SECONDS",
        envvar="KAFKA_BRIDGE_GRACE_SECONDS",
        help="Seconds that running jobs get when this process is told to stop.",
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65_535,
        envvar="KAFKA_BRIDGE_METRICS_PORT",
        help="Serve /metrics, /health/live and /health/ready here; 0 takes a free port.",
    ),
]
MetricsHost = Annotated[
    str | None,
    typer.Option(
        envvar="KAFKA_BRIDGE_METRICS_HOST",
        help="The address to serve them on; all of this host's by default.",
    ),
]
Level = Annotated[LogLevel, typer.Option(envvar="KAFKA_BRIDGE_LOG_LEVEL", case_sensitive=False)]
Format = Annotated[
    LogFormat,
    typer.Option(
        envvar="KAFKA_BRIDGE_LOG_FORMAT",
        case_sensitive=False,
        help="text is for people, json for machines: one object a line.",
    ),
]


def override(worker: Worker, **settings: Any) -> None:
    """Set of a worker what the command line, or its variable, says: None says nothing.

    :raises ConfigurationError: a setting makes no sense
    """
    for name, value in settings.items():
        if value is not None:
            setattr(worker, name, value)
    worker.settings()  # raises where the whole makes no sense
