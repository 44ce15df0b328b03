"""A cluster of Apache Kafka brokers, for tests with lost replicas."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar, Self

from kafka_bridge.testing.brokers import topics
from kafka_bridge.testing.brokers.base import Broker
from kafka_bridge.testing.brokers.errors import BrokerError
from kafka_bridge.testing.brokers.node import PORT_ATTEMPTS, BrokerNode, new_cluster_id
from kafka_bridge.testing.freezing import freeze
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kafka_bridge.testing.brokers.server import KafkaServer

BROKERS = 3


class KafkaCluster(Broker):
    """Three Apache Kafka brokers, each a controller too, on free loopback ports.

    Brokers are numbered from 1. `kill`, `stop`, `pause` and `resume` take the numbers of those they
    are meant for; `start` brings back all that do not run, at the same addresses and with the same
    data, and returns once the cluster is whole. While two of three are down there is no controller:
    no topic is created, and a topic with min.insync.replicas of 2 takes no record.

    Kafka's defaults for new topics apply (one replica); internal topics have three replicas, and
    `create_topic` asks for three. `properties` are broker settings of all brokers.
    """

    kind: ClassVar[str] = "cluster"

    def __init__(self, properties: Mapping[str, str] | None = None) -> None:
        self._properties = dict(properties or {})
        self._cluster_id = new_cluster_id()
        self._nodes: dict[int, BrokerNode] = {}
        self._ports: dict[int, dict[str, int]] = {}

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all brokers, comma-separated; they do not change after a kill."""
        return ",".join(self.address(number) for number in self.numbers)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the brokers; raises BrokerError before the start."""
        if not self._ports:
            raise BrokerError("the cluster was not started, so it has no brokers yet")
        return tuple(self._ports)

    def address(self, number: int) -> str:
        """Return the address of one broker, as host:port."""
        return f"127.0.0.1:{self._ports[number]['port']}"

    def is_running(self, number: int) -> bool:
        """Return whether the process of a broker exists; it may be paused."""
        return self._server(number).running

    def start(self) -> Self:
        """Start all brokers that do not run; return when each of them knows all others."""
        try:
            self._start_again() if self._ports else self._first_start()
        except BaseException:
            if not self._ports:
                self.close()
            raise
        return self

    def launch(self, *numbers: int) -> None:
        """Start these brokers again after `kill` or `stop`, without waiting until they answer."""
        for number in numbers:
            if not self.is_running(number):
                self._nodes[number].launch()

    def kill(self, *numbers: int) -> None:
        """Send SIGKILL to these brokers and wait for their end. Their data stay."""
        for number in numbers:
            self._server(number).kill()

    def stop(self, *numbers: int) -> None:
        """Send SIGTERM to these brokers: an orderly stop. Their data stay."""
        for number in numbers:
            self._server(number).stop()

    def pause(self, *numbers: int) -> None:
        """Freeze brokers (SIGSTOP): connections stay open, but none answers until `resume`."""
        for number in numbers:
            freeze(self._server(number).pid)

    def resume(self, *numbers: int) -> None:
        """Send SIGCONT."""
        for number in numbers:
            self._server(number).send(signal.SIGCONT)

    def close(self) -> None:
        """Kill all brokers and remove their data."""
        for node in self._nodes.values():
            node.remove()
        self._nodes, self._ports = {}, {}

    def create_topic(
        self, name: str, partitions: int | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic with a replica on each broker; otherwise as `Broker.create_topic`."""
        servers, replicas = self.bootstrap_servers, len(self.numbers)
        topics.create(servers, name, partitions, config or {}, replicas)

    def _server(self, number: int) -> KafkaServer:
        if number not in self._nodes:
            raise BrokerError(f"the cluster has no broker {number}: it has {list(self._nodes)}")
        return self._nodes[number].server

    def _first_start(self) -> None:
        for number in range(1, BROKERS + 1):
            self._nodes[number] = BrokerNode()
        for _attempt in range(PORT_ATTEMPTS):
            ports = {
                number: {"port": free_port(), "controller_port": free_port()}
                for number in self._nodes
            }
            self._of_each(lambda number: self._configure(number, ports))  # noqa: B023  runs now
            self._of_each(lambda number: self._nodes[number].launch())
            if all(self._of_each(lambda number: self._is_ready(number, ports[number]["port"]))):  # noqa: B023
                self._ports = ports
                return
            self.kill(*self._nodes)
        raise self._nodes[1].failed(f"found no free ports in {PORT_ATTEMPTS} attempts")

    def _start_again(self) -> None:
        self.launch(*self.numbers)
        ready = self._of_each(lambda number: self._is_ready(number, self._ports[number]["port"]))
        if not all(ready):
            raise self._nodes[1].failed(
                "cannot listen again: another process uses one of its ports"
            )

    def _configure(self, number: int, ports: Mapping[int, Mapping[str, int]]) -> None:
        voters = ",".join(
            f"{each}@127.0.0.1:{chosen['controller_port']}" for each, chosen in ports.items()
        )
        copies = str(BROKERS)
        own = {
            "node.id": str(number),
            "controller.quorum.voters": voters,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "2",
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": "2",
        }
        properties = {**own, **self._properties}
        self._nodes[number].configure(self._cluster_id, ports[number], properties)

    def _is_ready(self, number: int, port: int) -> bool:
        return self._nodes[number].becomes_ready(f"127.0.0.1:{port}", self._cluster_id, BROKERS)

    def _of_each(self, act: Callable[[int], bool | None]) -> list[bool | None]:
        """Act on all brokers at the same time."""
        with ThreadPoolExecutor(BROKERS) as pool:
            return list(pool.map(act, self._nodes))
