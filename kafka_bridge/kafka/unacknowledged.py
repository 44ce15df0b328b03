"""Find out why answering brokers did not acknowledge a record.

librdkafka sends such a record again and again until its time is over, and then reports nothing but
"message timed out", as it does where no broker answers at all.
"""

from __future__ import annotations

import time

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.topic_metadata import topic_settings
from kafka_bridge.protocol.errors import DeliveryFailed

LOOK_SECONDS = 1.0
"""For each of two questions: they are asked where other records may wait."""
KEEP_SECONDS = 5.0
"""How long an answer is kept: thousands of records may fail at once."""


class DeliveryDoctor:
    """Finds out why the records of a producer are not acknowledged.

    It asks by a client of its own. It is called within the producer's callbacks, where a call of
    the producer's ends the process: confluent_kafka then finds no state for the callback that comes
    next ("CallState_get: Assertion `cs != NULL' failed").
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._found: dict[str, tuple[float, str | None]] = {}

    def why(self, topic: str, timeout: float) -> DeliveryFailed | None:
        """Return why the topic takes no records; None where no broker answers.

        :param timeout: seconds that the record had, for the text
        """
        until, reason = self._found.get(topic, (0.0, None))
        if time.monotonic() > until:
            reason = self._look(topic)
            self._found[topic] = (time.monotonic() + KEEP_SECONDS, reason)
        if reason is None:
            return None
        return DeliveryFailed(
            f"Kafka at {self._config.bootstrap_servers} answers, but did not acknowledge a record "
            f"to topic {topic!r} within {timeout:g} s: {reason}"
        )

    def _look(self, topic: str) -> str | None:
        admin = make(AdminClient, self._config.admin())
        try:
            partitions = admin.list_topics(topic, timeout=LOOK_SECONDS).topics[topic]
        except ck.KafkaException:
            return None
        described = sorted(partitions.partitions.items())
        if leaderless := [number for number, each in described if each.leader < 0]:
            return (
                f"no leader for {_partitions(leaderless)}: the brokers that have its records are "
                "down. Start them again"
            )
        needed = _min_in_sync(admin, topic)
        # With fewer replicas than that, Kafka 4 is content with all there are.
        short = {
            number: each
            for number, each in described
            if len(each.isrs) < min(needed, len(each.replicas))
        }
        if short:
            worst = min(short.values(), key=lambda each: len(each.isrs))
            alike = [number for number, each in short.items() if len(each.isrs) == len(worst.isrs)]
            return (
                f"not enough in-sync replicas: {_partitions(alike)} has {len(worst.isrs)} of "
                f"{len(worst.replicas)} in sync, and the topic's min.insync.replicas is {needed}. "
                "Start the missing brokers again; `kafka-bridge topics check` shows the settings"
            )
        return "the leader or a replica is too slow, or was unavailable. Look at the brokers' logs"


def _min_in_sync(admin: AdminClient, topic: str) -> int:
    """Return the topic's min.insync.replicas, 1 where it may not be seen."""
    try:
        return int(topic_settings(admin, topic, LOOK_SECONDS)["min.insync.replicas"])
    except (ck.KafkaException, KeyError, ValueError):
        return 1


def _partitions(numbers: list[int]) -> str:
    named = ", ".join(map(str, numbers))
    return f"partition {named}" if len(numbers) == 1 else f"each of partitions {named}"
