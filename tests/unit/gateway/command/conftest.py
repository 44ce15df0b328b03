"""Jobs that a gateway has real programs do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import pytest

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.handler import CommandHandler
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobRequest, utc_now
from kafka_bridge.testing.jobs import CollectedEvents, JobOutcome, run_job
from kafka_bridge.worker import JobContext, StopReason
from kafka_bridge.worker.cancellation import StopSignal
from kafka_bridge.worker.runtime.reporter import JobReporter

JOB = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"

Do: TypeAlias = Callable[..., JobOutcome]
Script: TypeAlias = Callable[[str], list[str]]


@pytest.fixture
def do() -> Do:
    """Give a function that has a program do a job of type ``work``, as the file says."""

    def run(job: dict[str, Any], payload: Any = None, **arguments: Any) -> JobOutcome:
        config = GatewayConfig.model_validate({"jobs": {"work": job}})
        given: dict[str, Any] = {"correlation_id": JOB, "timeout": 30.0} | arguments
        return run_job(Gateway(config).worker, "work", payload, **given)

    return run


@pytest.fixture
def sh(tmp_path: Path) -> Script:
    """Give a function that makes a shell script; it returns the command that runs it."""

    def write(script: str) -> list[str]:
        path = tmp_path / "script.sh"
        path.write_text(f"cd {tmp_path}\n{script}")
        return ["sh", str(path)]

    return write


class Begun:
    """A job in the hands of its handler, to be stopped as a worker stops it."""

    def __init__(
        self, job: dict[str, Any], payload: Any = None, starting: asyncio.Semaphore | None = None
    ) -> None:
        request = JobRequest(
            correlation_id=JOB, job_type="work", response_topic="answers", created_at=utc_now()
        )
        reporter = JobReporter(CollectedEvents(), request, Encoding.AVRO, "w-1", lambda: True)
        self._stop = StopSignal()
        context = JobContext(request, reporter, self._stop)
        handler = CommandHandler(CommandJob.model_validate(job), starting or asyncio.Semaphore())
        self.task = asyncio.create_task(handler.handle(context, payload))

    def stop(self, reason: StopReason = StopReason.CANCELLED) -> None:
        """Ask it to stop."""
        self._stop.set(reason, "somebody said so")
        self.task.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so, while the loop does its work."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  other processes make it so
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Tell whether nothing is left of a process, not even a zombie."""
    return not psutil.pid_exists(pid)
