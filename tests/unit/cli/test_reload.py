"""``worker run --reload``: a worker that starts again when its files change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Eventually

pytestmark = pytest.mark.slow

PROGRAM = """
from kafka_bridge.worker import Worker
worker = Worker("reloaded", worker_id="{name}")
worker.job("a.job")(lambda job: None)
"""


@pytest.fixture
def said(tmp_path: Path) -> Iterator[tuple[Path, Path, subprocess.Popen[bytes]]]:
    """Give a program that runs and reloads, what it says, and its process."""
    program, log = tmp_path / "reloaded.py", tmp_path / "log.txt"
    program.write_text(PROGRAM.format(name="first"))
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "kafka_bridge", "worker", "run", "reloaded:worker", "--reload"],
            cwd=tmp_path,
            env={
                **os.environ,
                "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "127.0.0.1:9",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stderr=stream,
        )
    yield program, log, process
    process.terminate()
    process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_starts_again_on_each_change_until_it_is_told_to_stop(
    said: tuple[Path, Path, subprocess.Popen[bytes]],
    eventually: Eventually,
    number: signal.Signals,
) -> None:
    """A program that cannot be imported waits for the next change; no worker is left behind."""
    program, log, process = said
    running = "No Kafka broker"  # said by a worker that handles signals
    eventually(lambda: running in log.read_text(), "the first worker runs")
    program.write_text("1 +")
    eventually(lambda: "SyntaxError" in log.read_text(), "the mistake is shown")
    program.write_text(PROGRAM.format(name="second"))
    eventually(lambda: log.read_text().count(running) == 2, "the second worker runs")
    process.send_signal(number)
    assert process.wait(60) == 0
    text = log.read_text()
    assert "reloaded.py changed: the worker starts again" in text
    assert "Worker first of group" in text
    assert "Worker second of group" in text
    assert text.count("Stopped") == 2
