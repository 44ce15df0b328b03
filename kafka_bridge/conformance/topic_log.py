"""All records of one topic, as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.follower import TopicFollower
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import Record

T = TypeVar("T")

ANSWER_SECONDS = 30.0
LOOK_SECONDS = 0.2
"""How often a condition is checked without a new record: it may depend on other things."""


class TopicLog:
    """Reads a topic from now on, and keeps its records in the order of their arrival.

    :raises KafkaError: the topic cannot be read
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._records: list[Record] = []
        self._changed = threading.Condition()
        starts = end_offsets(config, [topic], ANSWER_SECONDS)[topic]
        self.partitions = len(starts)
        self._follower = TopicFollower(
            config, topic, "conformance", self._take, starts=starts, timeout=ANSWER_SECONDS
        )

    def _take(self, record: Record) -> None:
        with self._changed:
            self._records.append(record)
            self._changed.notify_all()

    @property
    def records(self) -> Sequence[Record]:
        """What has come so far."""
        with self._changed:
            return tuple(self._records)

    def until(self, look: Callable[[], T | None], seconds: float) -> T | None:
        """Return what a function finds, which is called again when records come.

        :param seconds: how long to wait; then None is returned
        :raises KafkaError: the topic can no longer be read
        """
        deadline = time.monotonic() + seconds
        while (found := look()) is None:
            self._follower.check()
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            with self._changed:
                self._changed.wait(min(left, LOOK_SECONDS))
        return found

    def catch_up(self) -> None:
        """Return when all records that are in the topic now were read.

        :raises KafkaError: the topic can no longer be read
        """
        self._follower.catch_up(ANSWER_SECONDS)

    def close(self) -> None:
        """Stop reading."""
        self._follower.close()
