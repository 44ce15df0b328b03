"""What a gateway's file says, on a screen. Secrets are named there, not shown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.http.config import HttpJob, Mode, Polling
from kafka_bridge.gateway.http.requests import SYNCHRONOUS_SECONDS


def print_config(config: GatewayConfig) -> None:
    """Print a row for each job type, and what holds for all of them."""
    table = Table()
    for name in ("job type", "mode", "what is done"):
        table.add_column(name, overflow="fold")
    for job_type, job in config.jobs.items():
        if isinstance(job, CommandJob):
            mode, lines = "command", [" ".join(part.text for part in job.command)]
        else:
            mode, lines = job.mode.value, [_service(job, config), *_requests(job)]
        table.add_row(*map(Text, (job_type, mode, "\n".join(lines))))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for line in _lines(config):
        console.print(Text(line))


def _service(job: HttpJob, config: GatewayConfig) -> str:
    url = config.service_of(job).url
    return url if job.service is None else f"{job.service}: {url}"


def _requests(job: HttpJob) -> Iterator[str]:
    """Yield how a job is begun, and how its end comes to be known."""
    yield f"{job.submit.method} {job.submit.path.text}"
    if job.mode is Mode.SYNCHRONOUS:
        yield f"answers within {job.submit.timeout or SYNCHRONOUS_SECONDS:g} s"
    if job.mode is Mode.CALLBACK:
        yield "then calls back"
    polling = job.polling or (Polling() if job.mode is Mode.POLLING else None)
    if polling is not None:
        yield f"{polling.method} {polling.path.text} every {_pauses(polling)} s"


def _pauses(polling: Polling) -> str:
    shortest, longest = polling.interval, max(polling.interval, polling.maximum)
    return f"{shortest:g}" if shortest == longest else f"{shortest:g} to {longest:g}"


def _lines(config: GatewayConfig) -> list[str]:
    lines = [
        f"Jobs come from {config.request_topic}, to group {config.group_id}, "
        f"{config.concurrency:,} at a time in each gateway."
    ]
    if (receiver := config.callbacks) is not None:
        lines.append(
            f"Callbacks arrive at {receiver.public_url}, listened for on "
            f"{receiver.host}:{receiver.port}, and are kept in {receiver.topic}."
        )
    used = {job.service for job in config.jobs.values() if isinstance(job, HttpJob)}
    lines += [f"No job uses the service {name!r}." for name in config.services if name not in used]
    return lines
