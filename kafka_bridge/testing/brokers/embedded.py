"""A broker inside the process: the mock cluster of librdkafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from confluent_kafka import KafkaException, Producer

from kafka_bridge.testing.brokers.base import Broker
from kafka_bridge.testing.brokers.errors import BrokerError, BrokerStartFailed
from kafka_bridge.testing.brokers.forwarding import HOST, ForwardedPort

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

START_TIMEOUT = 10.0
"""Seconds for the mock cluster to answer; it usually takes 0.05."""

PARTITIONS = 4
"""The number of partitions of every topic; the mock cluster does not support another number."""


class EmbeddedBroker(Broker):
    """librdkafka's mock cluster: no install, up in 0.1 s, reachable from other processes.

    It implements Kafka's protocol on a loopback port of its own choice, with consumer groups,
    idempotent producers and transactions, and lives exactly as long as this object. With `port`,
    clients may also connect there first; the cluster then tells them its own port. It is good
    for a demo and for quick tests of a worker. It is **not** Kafka:

    - it keeps the last 5 MiB or 100,000 records of a partition, in memory, and nothing else;
    - topics appear on first use, always with 4 partitions; an admin client's ``create_topics``
      fails, topic settings and deletion do not exist (`create_topic` here works, for names);
    - it does not describe consumer groups, so nobody can ask for members;
    - ``read_committed`` readers see the records of aborted transactions;
    - there is no authentication, and nothing survives the end of its process. It does not
      survive a fork either: start it in the process that keeps it.

    Use `ApacheKafka` where any of that matters.
    """

    kind: ClassVar[str] = "embedded"

    def __init__(self, topics: Iterable[str] = (), *, port: int | None = None) -> None:
        self._topics = list(topics)
        self._port = port
        self._forwarded: ForwardedPort | None = None
        self._owner: Producer | None = None
        self._bootstrap_servers = ""

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients on this machine, as host:port."""
        self._running()
        return self._bootstrap_servers

    def start(self) -> Self:
        """Start the mock cluster and create the requested topics.

        Raises BrokerStartFailed where another process listens on `port`.
        """
        if self._owner is None:
            # The cluster belongs to the producer: it ends when the producer is collected.
            owner = Producer({"test.mock.num.brokers": 1, "log_level": 2})
            self._bootstrap_servers = _address(owner)
            if self._port is not None:
                # The mock cluster always listens on a free port: none can be chosen.
                target = int(self._bootstrap_servers.rpartition(":")[2])
                self._forwarded = ForwardedPort(self._port, (HOST, target))
                self._bootstrap_servers = f"{HOST}:{self._port}"
            self._owner = owner
            for topic in self._topics:
                self.create_topic(topic)
        return self

    def close(self) -> None:
        """Stop the cluster and delete its data."""
        if self._forwarded is not None:
            self._forwarded.close()
        self._forwarded, self._owner = None, None

    def create_topic(
        self, name: str, partitions: int | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic, always with 4 partitions; an existing one is not changed.

        Raises BrokerError for another number of partitions or for any setting: a test that
        relies on them needs a real broker.
        """
        if partitions not in (None, PARTITIONS) or config:
            raise BrokerError(
                f"the embedded broker gives every topic {PARTITIONS} partitions and knows no "
                f"topic settings (asked of {name!r}: {partitions=}, {config=}); use ApacheKafka"
            )
        # Only a metadata request by the owner makes it create the topic.
        answer = self._running().list_topics(name, timeout=START_TIMEOUT).topics[name]
        if answer.error is not None:
            raise BrokerError(f"the embedded broker refused topic {name!r}: {answer.error.str()}")

    def delete_topics(self, names: Iterable[str]) -> None:
        """Raise BrokerError: the mock cluster keeps its topics until it ends."""
        raise BrokerError(f"the embedded broker cannot delete topics {sorted(names)}")

    def _running(self) -> Producer:
        if self._owner is None:
            raise BrokerError("the embedded broker is not running: use it in a `with` statement")
        return self._owner


def _address(owner: Producer) -> str:
    try:
        brokers = owner.list_topics(timeout=START_TIMEOUT).brokers
    except KafkaException as error:
        raise BrokerStartFailed(f"librdkafka's mock cluster did not answer: {error}") from error
    return ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
