"""Apache Kafka without Docker: from Maven's jars, on a JDK."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, ClassVar, Self

from kafka_bridge.testing.brokers.base import Broker
from kafka_bridge.testing.brokers.errors import BrokerError
from kafka_bridge.testing.brokers.node import PORT_ATTEMPTS, BrokerNode, new_cluster_id
from kafka_bridge.testing.freezing import freeze
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_bridge.testing.brokers.server import KafkaServer


class ApacheKafka(Broker):
    """A single-node Apache Kafka 4.2 of its own, in KRaft mode, on free loopback ports.

    Needs a JDK 17+ and, for the first start on a machine, Maven. The data lie in a temporary
    directory that `close` removes. Between `start` and `close` it may be hurt as often as a test
    likes: `kill` and `stop` end it, `pause` freezes it, and `start` brings it back at the same
    address with the same data. It does not outlive the Python process that started it, however
    that one ends.

    `properties` are broker settings that replace or add to those of ``server.properties``, and may
    contain ``${port}``, where clients connect. `port` is that port; by default a free one.
    """

    kind: ClassVar[str] = "apache"

    def __init__(
        self, properties: Mapping[str, str] | None = None, *, port: int | None = None
    ) -> None:
        self._properties = dict(properties or {})
        self._port = port
        self._cluster_id = new_cluster_id()
        self._node: BrokerNode | None = None
        self._ports: dict[str, int] = {}

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients on this machine, as host:port; a kill does not change it."""
        return self._address("port")

    def _address(self, name: str) -> str:
        if not self._ports:
            raise BrokerError("the broker was not started, so it has no address yet")
        return f"127.0.0.1:{self._ports[name]}"

    @property
    def pid(self) -> int:
        """Process id of the Java process; raises BrokerError if the broker does not run."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the process exists; it may be paused."""
        return self._node is not None and self._node.server.running

    def start(self) -> Self:
        """Start the broker, also after `kill` or `stop`; return when it answers."""
        if self.running:
            return self
        try:
            self._start_again(self._node) if self._node else self._first_start()
        except BaseException:
            if not self._ports:
                self.close()
            raise
        return self

    def kill(self) -> None:
        """Send SIGKILL: a crash. The data stay; `start` restarts the broker."""
        self._server.kill()

    def stop(self) -> None:
        """Send SIGTERM: an orderly stop. The data stay; `start` restarts the broker."""
        self._server.stop()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, but nothing answers until `resume`."""
        freeze(self._server.pid)

    def resume(self) -> None:
        """Send SIGCONT."""
        self._server.send(signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove its data."""
        if self._node is not None:
            self._node.remove()
        self._node, self._ports = None, {}

    @property
    def _server(self) -> KafkaServer:
        if self._node is None:
            raise BrokerError("the broker was not started")
        return self._node.server

    def _first_start(self) -> None:
        self._node = BrokerNode()
        for _attempt in range(PORT_ATTEMPTS):
            ports = self._new_ports()
            self._node.configure(self._cluster_id, ports, self._settings(self._node))
            self._node.launch()
            if self._node.becomes_ready(f"127.0.0.1:{ports['port']}", self._cluster_id):
                self._ports = ports
                return
            if self._port is not None:
                raise self._node.failed(_in_use(f"127.0.0.1:{self._port}"))
        raise self._node.failed(f"found no free port in {PORT_ATTEMPTS} attempts")

    def _start_again(self, node: BrokerNode) -> None:
        node.launch()
        if not node.becomes_ready(self._address("port"), self._cluster_id):
            raise node.failed(_in_use(self._address("port")))

    def _new_ports(self) -> dict[str, int]:
        """Choose the ports in the settings, by name; ``port`` is the plaintext one."""
        return {"port": self._port or free_port(), "controller_port": free_port()}

    def _settings(self, _node: BrokerNode) -> dict[str, str]:
        """Return the settings that replace or extend ``server.properties``."""
        return self._properties


def _in_use(address: str) -> str:
    return f"cannot listen on {address}: another process listens there"
