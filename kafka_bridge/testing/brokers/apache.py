"""The real thing without Docker: Apache Kafka from Maven's jars on a JDK."""

from __future__ import annotations

import base64
import shutil
import signal
import string
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from kafka_bridge.testing.brokers import jars, topics
from kafka_bridge.testing.brokers.base import Broker
from kafka_bridge.testing.brokers.errors import BrokerError, BrokerStartFailed
from kafka_bridge.testing.brokers.ports import free_port
from kafka_bridge.testing.brokers.server import KafkaServer

if TYPE_CHECKING:
    from collections.abc import Mapping

START_TIMEOUT = 60.0
"""Seconds to become ready; 4 on an idle laptop, 6 after a kill, more where cores are few."""

PORT_ATTEMPTS = 5
"""How many pairs of ports are tried where others keep taking them first."""

_TEMPLATE = Path(__file__).with_name("server.properties")
_LOGGING = Path(__file__).with_name("log4j2.properties")

_JAVA_OPTIONS = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # with the line above, a second less to start
    f"-Dlog4j2.configurationFile={_LOGGING}",
]


_PORT_TAKEN = "Address already in use"
"""What the broker says last where something listens on one of its ports."""


class ApacheKafka(Broker):
    """A single-node Apache Kafka 4.2 of its own, in KRaft mode, on free loopback ports.

    Needs a JDK 17+ and, for the first start on a machine, Maven. The data lie in a temporary
    directory that `close` removes. Between `start` and `close` it may be hurt as often as a test
    likes: `kill` and `stop` end it, `pause` freezes it, and `start` brings it back at the same
    address with the same data. It does not outlive the Python process that started it, however
    that one ends.

    `properties` are broker settings that replace or add to those of ``server.properties``, and may
    contain ``${port}``, where clients connect.
    """

    kind: ClassVar[str] = "apache"

    def __init__(self, properties: Mapping[str, str] | None = None) -> None:
        self._properties = dict(properties or {})
        self._cluster_id = _new_cluster_id()
        self._directory: Path | None = None
        self._server: KafkaServer | None = None
        self._port = 0
        self._java: list[str] = []
        self._settings = Path()

    @property
    def bootstrap_servers(self) -> str:
        """Where clients on this machine connect, as host:port; it stays the same after a kill."""
        if not self._port:
            raise BrokerError("the broker was not started, so it has no address yet")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the Java process; raises BrokerError where it does not run."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the process is there, be it paused."""
        return self._server is not None and self._server.running

    def start(self) -> Self:
        """Start it, or start it again after `kill` or `stop`, and return once it answers."""
        if self.running:
            return self
        try:
            self._start_again() if self._directory else self._first_start()
        except BaseException:
            if not self._port:
                self.close()
            raise
        return self

    def kill(self) -> None:
        """SIGKILL: no chance to say goodbye. Data stay; `start` brings it back."""
        self._started().kill()

    def stop(self) -> None:
        """SIGTERM, an orderly stop. Data stay; `start` brings it back."""
        self._started().stop()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, until `resume`."""
        self._started().send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._started().send(signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove its data."""
        if self._server is not None:
            self._server.kill()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._server, self._directory, self._port = None, None, 0

    def _started(self) -> KafkaServer:
        if self._server is None:
            raise BrokerError("the broker was not started")
        return self._server

    def _first_start(self) -> None:
        self._java = [jars.java_command(), *_JAVA_OPTIONS, "-cp", f"{jars.kafka_jars()}/*"]
        self._directory = Path(tempfile.mkdtemp(prefix="kafka-bridge-broker-"))
        self._server = KafkaServer(self._directory)
        for _attempt in range(PORT_ATTEMPTS):
            port = self._write_settings(self._directory)
            self._format(self._directory)
            self._launch()
            if self._became_ready(port):
                self._port = port
                return
        raise self._failed(f"found no free port in {PORT_ATTEMPTS} attempts")

    def _start_again(self) -> None:
        self._launch()
        if not self._became_ready(self._port):
            raise self._failed(f"cannot listen on port {self._port} again: something else does")

    def _launch(self) -> None:
        self._started().launch([*self._java, "kafka.Kafka", str(self._settings)])

    def _write_settings(self, directory: Path) -> int:
        """Write the broker's settings with fresh ports; return the one for clients."""
        port = free_port()
        # Of a setting that stands twice, Java takes the last.
        own = "".join(f"{name}={value}\n" for name, value in self._properties.items())
        settings = string.Template(_TEMPLATE.read_text(encoding="utf-8") + own).substitute(
            port=port, controller_port=free_port(), data=directory / "data"
        )
        self._settings = directory / "server.properties"
        self._settings.write_text(settings, encoding="utf-8")
        return port

    def _format(self, directory: Path) -> None:
        shutil.rmtree(directory / "data", ignore_errors=True)
        tool = [*self._java, "kafka.tools.StorageTool", "format"]
        command = [*tool, "-t", self._cluster_id, "-c", str(self._settings)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=START_TIMEOUT, check=False
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()
            raise BrokerStartFailed(f"Kafka's storage tool refused its settings:\n{said}")

    def _became_ready(self, port: int) -> bool:
        """Wait until *this* broker takes requests; False where its port was taken by another."""
        admin = topics.admin_client(f"127.0.0.1:{port}")
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if _PORT_TAKEN in self._started().last_lines():
                self._started().kill()  # it would take seconds to end by itself
                return False
            if not self.running:
                raise self._failed("ended while starting")
            if topics.cluster_id(admin, 1.0) == self._cluster_id and topics.can_create(admin, 5.0):
                return True
            time.sleep(topics.POLL_INTERVAL)
        self._started().kill()
        raise self._failed(f"was not ready within {START_TIMEOUT:.0f} s")

    def _failed(self, what: str) -> BrokerStartFailed:
        return BrokerStartFailed(
            f"Apache Kafka {jars.KAFKA_VERSION} {what}. Its last lines were:\n"
            + self._started().last_lines()
        )


def _new_cluster_id() -> str:
    """Make a cluster id as Kafka wants it: a UUID in 22 characters of URL-safe base64."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return text if not text.startswith("-") else _new_cluster_id()
