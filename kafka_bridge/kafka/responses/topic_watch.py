"""Watch whether a topic has new partitions, still exists, and is still the same one."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.topic_metadata import partition_count
from kafka_bridge.protocol.errors import KafkaBridgeError, TopicNotFound

_log = logging.getLogger(__name__)

METADATA_SECONDS = 10.0
PARTITIONS_SECONDS = 30.0
"""How often to look for new partitions."""
MISSING_SECONDS = 5.0
"""How long a topic must be missing until it counts as deleted: brokers that start say so, too. It
begins again when no broker answers."""
MISSING_LOOK_SECONDS = 1.0
"""How often to look meanwhile."""


class TopicWatch:
    """Looks at a topic from time to time, with a reader's own consumer."""

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._topic = topic
        self._servers = config.bootstrap_servers
        self._identity = TopicIdentity(config, topic)
        self._metadata_age = 0.0
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
        """Note that a broker does not know the topic: check soon."""
        self._missing_since = self._missing_since or time.monotonic()
        self._next_look = 0.0

    def note_metadata_age(self, age: float) -> None:
        """Look whether the topic is the same one where librdkafka has asked about it.

        It asks from time to time, and when a broker says that it does not know the topic's id. It
        reads on from a new topic of the same name without an error (2.16).

        :param age: how long ago it asked
        """
        self._identity.look(is_due=age < self._metadata_age)
        self._metadata_age = age

    def was_recreated(self) -> bool:
        """Tell, once, whether another topic has the name now; it may have other partitions."""
        changed = self._identity.has_changed()
        if changed:
            self._next_look = 0.0
        return changed

    def changed(self, consumer: ck.Consumer, known: Collection[int]) -> range | None:
        """Return the partitions when it is time to look and reading has to begin anew, or None.

        It has to where there are more or fewer, and when a topic that was missing is back.

        :raises TopicNotFound: the topic was deleted
        """
        now = time.monotonic()
        if now < self._next_look:
            return None
        missing_before = self._missing_since is not None
        self._next_look = now + (MISSING_LOOK_SECONDS if missing_before else PARTITIONS_SECONDS)
        try:
            partitions = self.partitions(consumer)
        except TopicNotFound:
            self._missing_since = self._missing_since or now
            self._next_look = now + MISSING_LOOK_SECONDS
            if now - self._missing_since > MISSING_SECONDS:
                raise
        except KafkaBridgeError:  # no broker answers: ask again later
            if missing_before:
                self._missing_since = time.monotonic()
        else:
            self._missing_since = None
            return partitions if missing_before or len(partitions) != len(known) else None
        return None


class TopicIdentity:
    """Knows a topic's id, which Kafka gives to each topic (since 2.8), whatever its name.

    It is asked for on a thread, with a client of its own: librdkafka's consumers do not show it.
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._config = config
        self._topic = topic
        self._known: str | None = None
        self._latest: str | None = None
        self._is_due = True
        self._looked_at = -PARTITIONS_SECONDS

    def look(self, *, is_due: bool) -> None:
        """Begin to ask for the id where that is due, or was and has failed."""
        self._is_due = self._is_due or is_due
        # Some may never answer it: a broker before 2.8, or missing permissions.
        pause = MISSING_LOOK_SECONDS if self._known else PARTITIONS_SECONDS
        if self._is_due and time.monotonic() - self._looked_at > pause:
            self._is_due = False
            self._looked_at = math.inf  # while it is being asked
            threading.Thread(target=self._ask, name="kafka-bridge-topic-id", daemon=True).start()

    def _ask(self) -> None:
        try:
            admin = make(AdminClient, self._config.admin())
            topics = ck.TopicCollection([self._topic])
            answer = admin.describe_topics(topics, request_timeout=METADATA_SECONDS)
            found = str(answer[self._topic].result().topic_id)
            self._known = self._known or found
            self._latest = found
        except Exception as error:  # it may be missing just now; the next look will tell
            _log.debug("Reading the id of topic %s failed: %s", self._topic, error)
            self._is_due = True
        finally:
            self._looked_at = time.monotonic()

    def has_changed(self) -> bool:
        """Tell, once, whether the id is another one than before."""
        latest = self._latest
        if latest is None or latest == self._known:
            return False
        self._known = latest
        return True
