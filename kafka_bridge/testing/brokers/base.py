"""What every broker for tests and demos offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from kafka_bridge.testing.brokers import topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Broker(ABC):
    """A Kafka broker with a beginning and an end.

    ``with SomeBroker() as broker:`` starts it and stops it; `start` and `close` are the same by
    hand. Making the object starts nothing.
    """

    kind: ClassVar[str]
    """One word for people: embedded, apache, compose or external."""

    @property
    @abstractmethod
    def bootstrap_servers(self) -> str:
        """Where clients on this machine connect, as host:port, once the broker was started."""

    @property
    def _admin_servers(self) -> str:
        """Where topics can be created without credentials."""
        return self.bootstrap_servers

    @abstractmethod
    def start(self) -> Self:
        """Start the broker and return it once it answers; do nothing where it already runs.

        Raises BrokerUnavailable where this machine lacks what it needs, BrokerStartFailed where
        it did not come up.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop what `start` started and remove its data; do nothing where nothing runs."""

    def create_topic(
        self, name: str, partitions: int | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic and return once every partition has a leader.

        `partitions`: how many; None for the broker's own default. `config`: topic settings, as
        Kafka spells them. Raises TopicExists, or BrokerError with the broker's own words.
        """
        topics.create(self._admin_servers, name, partitions, config or {})

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics; one that is not there is no error. Raises BrokerError otherwise."""
        topics.delete(self._admin_servers, list(names))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.close()
