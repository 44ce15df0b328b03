"""The configuration of a gateway as text. It never contains the value of a secret."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from kafka_bridge.cli.tables import print_rows
from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.http.config import HttpJob, Mode, Polling
from kafka_bridge.gateway.http.requests import SYNCHRONOUS_SECONDS


def print_config(config: GatewayConfig) -> None:
    """Print a table of the job types, and the settings that all of them share."""
    rows = []
    for job_type, job in config.jobs.items():
        if isinstance(job, CommandJob):
            mode, lines = "command", [" ".join(part.text for part in job.command)]
        else:
            mode, lines = job.mode.value, [_service(job, config), *_requests(job)]
        rows.append((job_type, mode, "\n".join(lines)))
    print_rows(("job type", "mode", "runs on"), rows)
    for line in _lines(config):
        typer.echo(line)


def _service(job: HttpJob, config: GatewayConfig) -> str:
    url = config.service_of(job).url
    return url if job.service is None else f"{job.service}: {url}"


def _requests(job: HttpJob) -> Iterator[str]:
    """Yield how a job is submitted, and how its end is detected."""
    yield f"{job.submit.method} {job.submit.path.text}"
    if job.mode is Mode.SYNCHRONOUS:
        yield f"responds within {job.submit.timeout or SYNCHRONOUS_SECONDS:g} s"
    if job.mode is Mode.CALLBACK:
        yield "then calls back"
    polling = job.polling or (Polling() if job.mode is Mode.POLLING else None)
    if polling is not None:
        yield f"{polling.method} {polling.path.text} every {_intervals(polling)} s"


def _intervals(polling: Polling) -> str:
    shortest, longest = polling.interval, max(polling.interval, polling.maximum)
    return f"{shortest:g}" if shortest == longest else f"{shortest:g} to {longest:g}"


def _lines(config: GatewayConfig) -> list[str]:
    lines = [
        f"Requests: topic {config.request_topic}, consumer group {config.group_id}, at most "
        f"{config.concurrency:,} jobs at the same time in each gateway."
    ]
    if (callbacks := config.callbacks) is not None:
        lines.append(
            f"Callbacks: URL {callbacks.public_url}, listening on "
            f"{callbacks.host}:{callbacks.port}, topic {callbacks.topic}."
        )
    used = {job.service for job in config.jobs.values() if isinstance(job, HttpJob)}
    lines += [
        f"The service {name!r} is not used by any job."
        for name in config.services
        if name not in used
    ]
    return lines
