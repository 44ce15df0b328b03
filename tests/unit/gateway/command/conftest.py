"""Jobs that a gateway runs as real programs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import pytest

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.handler import CommandHandler
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.testing.jobs import JobOutcome, run_job
from kafka_bridge.worker.runtime import reporter
from unit.gateway.started_job import JOB, StartedJob

Do: TypeAlias = Callable[..., JobOutcome]
Script: TypeAlias = Callable[[str], list[str]]


@pytest.fixture(autouse=True)
def _every_report_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "PROGRESS_SECONDS", 0.0)


@pytest.fixture
def do() -> Do:
    """Give a function that runs a job of type ``work`` as a program."""

    def run(job: dict[str, Any], payload: Any = None, **arguments: Any) -> JobOutcome:
        config = GatewayConfig.model_validate({"jobs": {"work": job}})
        given: dict[str, Any] = {"correlation_id": JOB, "timeout": 60.0} | arguments
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


class Gate:
    """Holds a shell script in ``tmp_path`` at each command ``read go < gate``."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR)

    def open(self) -> None:
        """Let the script continue once."""
        os.write(self._fd, b"go\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Give a gate for a script."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


def started(
    job: dict[str, Any], payload: Any = None, starting: asyncio.Semaphore | None = None
) -> StartedJob:
    """Return a job that runs as a program on the event loop of the test."""
    config = CommandJob.model_validate(job)
    return StartedJob(CommandHandler(config, starting or asyncio.Semaphore()), payload)


def is_gone(pid: int) -> bool:
    """Return whether a process has ended and is not a zombie either."""
    return not psutil.pid_exists(pid)
