"""Whether a topic has new partitions, and whether it is still there."""

from __future__ import annotations

import time
from collections.abc import Container

import confluent_kafka as ck

from kafka_bridge.kafka.offsets import partition_count
from kafka_bridge.protocol.errors import KafkaBridgeError, TopicNotFound

METADATA_SECONDS = 10.0
PARTITIONS_SECONDS = 30.0
"""How often to look for new partitions."""
MISSING_SECONDS = 5.0
"""How long a topic must be missing until it counts as deleted: brokers that start say so, too."""
MISSING_LOOK_SECONDS = 1.0
"""How often to look meanwhile."""


class TopicWatch:
    """Looks at a topic from time to time, with a reader's own consumer."""

    def __init__(self, topic: str, servers: str) -> None:
        self._topic = topic
        self._servers = servers
        self._missing_since: float | None = None
        self._next_look = 0.0

    def partitions(self, consumer: ck.Consumer, timeout: float = METADATA_SECONDS) -> range:
        """Return the topic's partitions.

        :param timeout: seconds
        :raises TopicNotFound: it does not exist
        :raises AccessDenied: it may not be described
        :raises BrokerUnreachable: no broker answered in time
        """
        count = partition_count(consumer, self._topic, self._servers, timeout)
        self._next_look = time.monotonic() + PARTITIONS_SECONDS
        return range(count)

    def note_missing(self) -> None:
        """Take in that a broker does not know the topic: look soon."""
        self._missing_since = self._missing_since or time.monotonic()
        self._next_look = 0.0

    def changed(self, consumer: ck.Consumer, known: Container[int]) -> list[int] | None:
        """Return the new partitions when it is time to look and reading has to begin anew, or None.

        It has to begin anew, without a new partition, when a topic that was missing is back.

        :raises TopicNotFound: the topic was deleted
        """
        now = time.monotonic()
        if now < self._next_look:
            return None
        missing_before = self._missing_since is not None
        self._next_look = now + (MISSING_LOOK_SECONDS if missing_before else PARTITIONS_SECONDS)
        try:
            new = [each for each in self.partitions(consumer) if each not in known]
        except TopicNotFound:
            self._missing_since = self._missing_since or now
            self._next_look = now + MISSING_LOOK_SECONDS
            if now - self._missing_since > MISSING_SECONDS:
                raise
        except KafkaBridgeError:
            pass  # no broker answers: ask again later
        else:
            self._missing_since = None
            return new if new or missing_before else None
        return None
