"""The options that the commands of ``kafka-bridge doctor`` have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from kafka_bridge.cli.durations import duration, seconds

LongestJob = Annotated[
    timedelta,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="The longest time that a job runs, e.g. 12h: topics must keep their records longer.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        parser=seconds(1),
        metavar="SECONDS",
        help="The time for all checks: seconds, or 2m.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for machines.")]
