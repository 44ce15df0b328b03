"""Why a record was not acknowledged although brokers answer: no leader, too few replicas in sync.

librdkafka sends such a record again and again until its time is over, and then reports nothing but
"message timed out", as it does where no broker answers at all.
"""

from __future__ import annotations

import time
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import DeliveryFailed

LOOK_SECONDS = 0.5
"""For the question what state the topic is in: it is asked where other records may wait."""
SETTINGS_SECONDS = 2.0
"""For the question for min.insync.replicas, once it is known that brokers answer."""
KEEP_SECONDS = 5.0
"""How long an answer is kept: thousands of records may fail at once."""


class DeliveryDoctor:
    """Finds out why the records of one producer are not acknowledged.

    :param client: the producer
    """

    def __init__(self, config: KafkaConfig, client: Any) -> None:
        self._config = config
        self._client = client
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
        try:
            partitions = self._client.list_topics(topic, timeout=LOOK_SECONDS).topics[topic]
        except ck.KafkaException:
            return None
        described = sorted(partitions.partitions.items())
        if leaderless := [number for number, each in described if each.leader < 0]:
            return (
                f"no leader for {_partitions(leaderless)}: the brokers that have its records are "
                "down. Bring them back"
            )
        needed = self._min_in_sync(topic)
        # With fewer replicas than that, Kafka 4 is content with all there are.
        short = {
            number: each
            for number, each in described
            if len(each.isrs) < min(needed, len(each.replicas))
        }
        if short:
            worst = min(short.values(), key=lambda each: len(each.isrs))
            return (
                f"not enough in-sync replicas: {_partitions(list(short))} has {len(worst.isrs)} of "
                f"{len(worst.replicas)} in sync, and the topic's min.insync.replicas is {needed}. "
                "Bring the missing brokers back; `kafka-bridge topics check` shows the settings"
            )
        return "a replica or the leader is too slow, or was away. Look at the brokers' logs"

    def _min_in_sync(self, topic: str) -> int:
        """Return the topic's min.insync.replicas, 1 where it may not be seen."""
        admin = make(AdminClient, self._config.admin())
        resource = ConfigResource(ResourceType.TOPIC, topic)
        try:
            (answer,) = admin.describe_configs(
                [resource], request_timeout=SETTINGS_SECONDS
            ).values()
            return int(answer.result()["min.insync.replicas"].value)
        except (ck.KafkaException, KeyError, ValueError):
            return 1


def _partitions(numbers: list[int]) -> str:
    named = ", ".join(map(str, numbers))
    return f"partition {named}" if len(numbers) == 1 else f"each of partitions {named}"
