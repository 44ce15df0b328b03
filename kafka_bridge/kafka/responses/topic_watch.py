"""Watch whether a topic has new partitions, still exists, and is still the same one."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from concurrent.futures import Future

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, TopicDescription

from kafka_bridge.kafka.offsets import TopicOffsets
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
MOMENT_SECONDS = 0.1
"""How exactly the time of librdkafka's last question is known."""


class TopicWatch:
    """Looks at a topic from time to time."""

    def __init__(self, offsets: TopicOffsets, topic: str) -> None:
        self._topic = topic
        self._offsets = offsets
        self._identity = TopicIdentity(offsets.admin, topic)
        self._asked_at = time.monotonic()
        self._missing_since: float | None = None
        self._next_look = 0.0

    def partitions(self, timeout: float = METADATA_SECONDS) -> range:
        """Return the topic's partitions.

        :param timeout: seconds
        :raises TopicNotFound: it does not exist
        :raises AccessDenied: it may not be described
        :raises BrokerUnreachable: no broker answered in time
        """
        partitions = self._offsets.partitions(self._topic, timeout)
        self._next_look = time.monotonic() + PARTITIONS_SECONDS
        return partitions

    def note_missing(self) -> None:
        """Note that a broker does not know the topic: check soon."""
        self._missing_since = self._missing_since or time.monotonic()
        self._next_look = 0.0

    def note_metadata_age(self, age: float) -> None:
        """Look whether the topic is the same one where librdkafka has asked about it.

        It asks from time to time, and when a broker says that it does not know the topic's id. It
        reads on from a new topic of the same name without an error (2.16).

        :param age: how long ago it asked, seconds
        """
        asked_at = time.monotonic() - age
        self._identity.look(is_due=asked_at > self._asked_at + MOMENT_SECONDS)
        self._asked_at = asked_at

    def was_recreated(self) -> bool:
        """Tell, once, whether another topic has the name now; it may have other partitions."""
        changed = self._identity.has_changed()
        if changed:
            self._next_look = 0.0
        return changed

    def changed(self, known: Collection[int]) -> range | None:
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
            partitions = self.partitions()
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

    librdkafka's consumers do not show it, so an admin client asks for it.
    """

    def __init__(self, admin: AdminClient, topic: str) -> None:
        self._admin = admin
        self._topic = topic
        self._known: str | None = None
        self._is_due = True
        self._asked_at = -PARTITIONS_SECONDS
        self._answer: Future[TopicDescription] | None = None

    def look(self, *, is_due: bool) -> None:
        """Ask for the id where that is due, or was and has failed."""
        self._is_due = self._is_due or is_due
        # Some may never answer it: a broker before 2.8, or missing permissions.
        pause = MISSING_LOOK_SECONDS if self._known else PARTITIONS_SECONDS
        now = time.monotonic()
        if self._answer is None and self._is_due and now - self._asked_at > pause:
            self._is_due, self._asked_at = False, now
            topics = ck.TopicCollection([self._topic])
            answers = self._admin.describe_topics(topics, request_timeout=METADATA_SECONDS)
            self._answer = answers[self._topic]

    def has_changed(self) -> bool:
        """Tell, once, whether the id is another one than before."""
        if self._answer is None or not self._answer.done():
            return False
        answer, self._answer = self._answer, None
        try:
            found = str(answer.result().topic_id)
        except ck.KafkaException as error:  # it may be missing just now; the next look will tell
            _log.debug("Reading the id of topic %s failed: %s", self._topic, error)
            self._is_due = True
            return False
        before, self._known = self._known, found
        return before is not None and before != found
