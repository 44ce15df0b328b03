"""An admin client whose brokers know one topic, as a test says."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import confluent_kafka as ck


def partition(leader: int = 1, replicas: int = 3, in_sync: int = 3) -> Any:
    """Return what the brokers say of a partition."""
    return SimpleNamespace(
        leader=leader, replicas=list(range(replicas)), isrs=list(range(in_sync)), error=None
    )


@dataclass
class ScriptedAdmin:
    """Stands in for confluent_kafka's admin client.

    :param partitions: of the topic, by number; without any, the topic does not exist
    :param settings: of the topic
    :param silent: whether no broker answers
    :param settings_error: the code of ``ck.KafkaError`` with which settings are refused
    :param asked: the questions, in order
    """

    partitions: list[Any] = field(default_factory=lambda: [partition()])
    settings: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    settings_error: int | None = None
    asked: list[str] = field(default_factory=list)
    connection_watch: Any = field(
        default_factory=lambda: SimpleNamespace(why_silent=lambda _: None, forget=lambda: None)
    )

    def make(self, *_: object) -> Self:
        """Stand in for ``kafka_bridge.kafka.clients.make``."""
        return self

    def poll(self, _: float) -> int:
        """Report nothing."""
        return 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Return the topic's metadata."""
        assert timeout > 0
        self.asked.append("partitions")
        if self.silent:
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TRANSPORT))
        missing = ck.KafkaError(ck.KafkaError.UNKNOWN_TOPIC_OR_PART)
        error = None if self.partitions else missing
        found = SimpleNamespace(error=error, partitions=dict(enumerate(self.partitions)))
        return SimpleNamespace(topics={topic: found})

    def describe_configs(self, resources: list[Any], request_timeout: float) -> Any:
        """Return the topic's settings."""
        assert request_timeout > 0
        self.asked.append("settings")
        answer: Future[Any] = Future()
        if self.settings_error is None:
            answer.set_result(
                {name: SimpleNamespace(value=value) for name, value in self.settings.items()}
            )
        else:
            answer.set_exception(ck.KafkaException(ck.KafkaError(self.settings_error)))
        return {resources[0]: answer}
