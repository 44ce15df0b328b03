"""One Apache Kafka process with its settings and its data, in a temporary directory."""

from __future__ import annotations

import base64
import shutil
import string
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_bridge.testing.brokers import jars, topics
from kafka_bridge.testing.brokers.errors import BrokerStartFailed
from kafka_bridge.testing.brokers.server import KafkaServer

if TYPE_CHECKING:
    from collections.abc import Mapping

START_TIMEOUT = 60.0
"""Seconds to become ready; 4 on an idle laptop, 6 after a kill, more with few cores."""

PORT_ATTEMPTS = 5
"""How often a start is retried with other ports if another process uses one of them."""

_TEMPLATE = Path(__file__).with_name("server.properties")
_LOGGING = Path(__file__).with_name("log4j2.properties")

_JAVA_OPTIONS = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # with the line above, a second less to start
    f"-Dlog4j2.configurationFile={_LOGGING}",
]

_PORT_TAKEN = "Address already in use"
"""The broker's last log line if another process listens on one of its ports."""


class BrokerNode:
    """A broker process that can be configured, started, killed and restarted with its data.

    Raises BrokerUnavailable where this machine has no JDK, or no jars and no Maven.
    """

    def __init__(self) -> None:
        self._java = [jars.java_command(), *_JAVA_OPTIONS, "-cp", f"{jars.kafka_jars()}/*"]
        self.directory = Path(tempfile.mkdtemp(prefix="kafka-bridge-broker-"))
        self.server = KafkaServer(self.directory)
        self._settings = self.directory / "server.properties"

    def configure(
        self, cluster_id: str, ports: Mapping[str, int], properties: Mapping[str, str]
    ) -> None:
        """Write the broker's settings and format an empty data directory.

        `ports` fills in ``${port}`` and the like, `properties` replaces or adds settings. Raises
        BrokerStartFailed where Kafka refuses the settings.
        """
        # Where a setting appears twice, Java takes the last one.
        own = "".join(f"{name}={value}\n" for name, value in properties.items())
        template = string.Template(_TEMPLATE.read_text(encoding="utf-8") + own)
        settings = template.substitute(ports, data=self.directory / "data")
        self._settings.write_text(settings, encoding="utf-8")
        self._format(cluster_id)

    def _format(self, cluster_id: str) -> None:
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        tool = [*self._java, "kafka.tools.StorageTool", "format"]
        command = [*tool, "-t", cluster_id, "-c", str(self._settings)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=START_TIMEOUT, check=False
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()
            raise BrokerStartFailed(f"Kafka's storage tool refused its settings:\n{said}")

    def launch(self) -> None:
        """Start the process; do not wait until it answers."""
        self.server.launch([*self._java, "kafka.Kafka", str(self._settings)])

    def becomes_ready(self, address: str, cluster_id: str, brokers: int = 1) -> bool:
        """Wait until this broker accepts requests; False if another process uses its port.

        `brokers`: how many brokers it must know. Raises BrokerStartFailed where the process ends
        or does not answer within 60 s.
        """
        admin = topics.admin_client(address)
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if _PORT_TAKEN in self.server.last_lines():
                self.server.kill()  # it would take seconds to end by itself
                return False
            if not self.server.running:
                raise self.failed("ended while starting")
            if topics.cluster_of(admin, 1.0) == (cluster_id, brokers) and topics.can_create(
                admin, 5.0
            ):
                return True
            time.sleep(topics.POLL_INTERVAL)
        self.server.kill()
        raise self.failed(f"was not ready within {START_TIMEOUT:.0f} s")

    def failed(self, what: str) -> BrokerStartFailed:
        """Return an error that ends with the last lines of the broker's log."""
        return BrokerStartFailed(
            f"Apache Kafka {jars.KAFKA_VERSION} {what}. Its last lines were:\n"
            + self.server.last_lines()
        )

    def remove(self) -> None:
        """Kill the process and remove its data."""
        self.server.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def new_cluster_id() -> str:
    """Return a cluster id for Kafka: a UUID in 22 characters of URL-safe base64."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return text if not text.startswith("-") else new_cluster_id()
