"""The queue as the command line shows it, and the board as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from demo.gateway import GATEWAY_TOPIC
from demo.reports import DemoFailed
from demo.steps import Steps
from kafka_bridge.protocol.topics import REQUEST_TOPIC
from kafka_bridge.testing.local_airflow.processes import ManagedProcess
from kafka_bridge.testing.ports import free_port, is_free

PROJECT = Path(__file__).parents[1]
USUAL_PORT = 8088
"""The board's own default: a browser's tab stays valid from one run to the next, if it is free."""
START_SECONDS = 60.0


def print_queues(steps: Steps, servers: str) -> None:
    """Print what ``kafka-bridge queues list`` says.

    :raises DemoFailed: it failed
    """
    command = [sys.executable, "-m", "kafka_bridge", "queues", "list"]
    done = subprocess.run(
        command, env=_environment(servers), cwd=PROJECT, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise DemoFailed(f"`kafka-bridge queues list` failed: {done.stderr}")
    for line in done.stdout.splitlines():
        steps.add(line.rstrip(), "bold")


class Board:
    """The board of all request topics of the demo.

    :ivar address: where it is, once it has started
    """

    def __init__(self, home: Path, servers: str) -> None:
        port = USUAL_PORT if is_free(USUAL_PORT) else free_port()
        self.address = f"http://127.0.0.1:{port}/"
        topics = [REQUEST_TOPIC, GATEWAY_TOPIC]
        self.process = ManagedProcess(
            "board",
            [sys.executable, "-m", "kafka_bridge", "board", *topics, "--port", str(port)],
            env=_environment(servers),
            cwd=PROJECT,
            log_path=home / "board.log",
        )

    def wait_until_up(self) -> None:
        """Wait until the page can be opened.

        :raises ComponentFailed: it does not start
        """
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            self.process.check()
            try:
                httpx.get(self.address, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise self.process.failure(f"does not answer at {self.address}")


def _environment(servers: str) -> dict[str, str]:
    return {**os.environ, "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": servers}
