"""The interface of all brokers for tests and demos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from kafka_bridge.testing.brokers import topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Broker(ABC):
    """A Kafka broker that can be started and closed.

    ``with SomeBroker() as broker:`` starts it and stops it; `start` and `close` are the same by
    hand. Making the object starts nothing.
    """

    kind: ClassVar[str]
    """The kind of broker: embedded, apache, compose or external."""

    @property
    @abstractmethod
    def bootstrap_servers(self) -> str:
        """The address for clients on this machine, as host:port, after the start."""

    @property
    def _admin_servers(self) -> str:
        """The address at which topics can be created without credentials."""
        return self.bootstrap_servers

    @abstractmethod
    def start(self) -> Self:
        """Start the broker; return it when it answers. Do nothing if it already runs.

        Raises BrokerUnavailable where this machine lacks what it needs, BrokerStartFailed where
        it did not come up.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the broker and remove its data; do nothing if it does not run."""

    def create_topic(
        self, name: str, partitions: int | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic; return when every partition has a leader.

        `partitions`: how many; None for the broker's own default. `config`: topic settings, as
        Kafka spells them. Raises TopicExists, or BrokerError with the broker's own words.
        """
        topics.create(self._admin_servers, name, partitions, config or {})

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics; missing ones are ignored. Raises BrokerError for other failures."""
        topics.delete(self._admin_servers, list(names))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.close()
