"""Kafka from docker-compose.kafka.yml, in a Compose project of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar, Self

from kafka_bridge.testing.brokers.base import Broker
from kafka_bridge.testing.brokers.errors import BrokerError, BrokerStartFailed, BrokerUnavailable
from kafka_bridge.testing.ports import free_port

COMPOSE_FILE = "docker-compose.kafka.yml"

PORT_VARIABLE = "KAFKA_PORT"
"""The variable in the Compose file for the host's port of Kafka."""

ENGINE_TIMEOUT = 10.0
"""Seconds for a Docker engine to answer; usually less than one."""

START_TIMEOUT = 600.0
"""Seconds to become ready: the first time, the image has to be pulled."""


class ComposeKafka(Broker):
    """Service `kafka` of the project's Compose file, where a Docker engine answers.

    It runs as a Compose project of its own on a free port, so it neither meets nor touches what
    the person runs from the same file. `close` removes its container and volume.
    """

    kind: ClassVar[str] = "compose"

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._project = f"kafka-bridge-test-{os.getpid()}-{id(self):x}"
        self._port = 0

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients on this machine, as host:port."""
        if not self._port:
            raise BrokerError("the broker was not started, so it has no address yet")
        return f"127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Bring the service up and wait for its health check."""
        if self._port:
            return self
        self._file = self._file or find_compose_file()
        check_docker()
        self._port = free_port()
        try:
            self._compose("up", "-d", "--wait", "kafka")
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Remove the container and its volume."""
        if self._port:
            self._compose("down", "--volumes")
            self._port = 0

    def _compose(self, *arguments: str) -> None:
        done = subprocess.run(
            ["docker", "compose", "-p", self._project, "-f", str(self._file), *arguments],
            env={**os.environ, PORT_VARIABLE: str(self._port)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            said = "\n".join(done.stderr.strip().splitlines()[-10:])
            raise BrokerStartFailed(f"`docker compose {' '.join(arguments)}` failed:\n{said}")


def find_compose_file() -> Path:
    """Find the Compose file in the working directory and above it, then next to the package."""
    here = Path.cwd()
    for directory in (here, *here.parents, Path(__file__).parents[3]):
        if (directory / COMPOSE_FILE).is_file():
            return directory / COMPOSE_FILE
    raise BrokerUnavailable(f"no {COMPOSE_FILE} in {here} or above it")


def check_docker() -> None:
    """Raise BrokerUnavailable if no Docker engine answers or Compose is missing."""
    if shutil.which("docker") is None:
        raise BrokerUnavailable("no 'docker' on PATH")
    _ask(["docker", "info"], "no Docker engine answers")
    _ask(["docker", "compose", "version"], "docker has no 'compose' command")


def _ask(command: list[str], otherwise: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ENGINE_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokerUnavailable(f"{otherwise} within {ENGINE_TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise BrokerUnavailable(f"{otherwise}: {said[0]}")
