"""Partitions that do not move although records lie ahead of the consumer.

Batches that cannot be unpacked are reported by librdkafka and skipped
(:mod:`~kafka_bridge.kafka.unreadable`). Whatever else may stop a partition would stop it in
silence; here it is noticed, by librdkafka's statistics, and logged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kafka_bridge.bounded_log import bounded_logger

_log = bounded_logger(__name__)

STALL_SECONDS = 30.0
"""How long a partition must stand still. A fetch takes half a second, a leader election a few."""


class StallWatch:
    """Watches the partitions of one consumer of a topic."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._still: dict[int, tuple[int, float]] = {}
        self._stalled: set[int] = set()

    def look(self, partitions: Mapping[str, Mapping[str, Any]]) -> bool:
        """Tell whether a partition stands still; log when it begins to.

        One does where records lie before the last stable offset (so an open transaction is no
        reason), none of them is in the local queue, and the next offset has been the same for
        :data:`STALL_SECONDS`.

        :param partitions: librdkafka's statistics of the topic's partitions; not of those that are
            paused, or whose broker does not answer: these do not move
        """
        now = time.monotonic()
        before, self._still = self._still, {}
        for name, facts in partitions.items():
            if _has_records_ahead(facts):
                number, at = int(name), facts["next_offset"]
                offset, since = before.get(number, (at, now))
                self._still[number] = (at, since if offset == at else now)
        stalled = {n for n, (_, since) in self._still.items() if now - since >= STALL_SECONDS}
        for number in sorted(stalled - self._stalled):
            _log.error(
                "%s[%d] has not moved from offset %d for %g s, although it ends at %d and its "
                "broker answers. Jobs behind it wait. Look at the broker's log; a record larger "
                "than 'receive.message.max.bytes' is one reason",
                *(self._topic, number, self._still[number][0], STALL_SECONDS),
                partitions[str(number)]["ls_offset"],
            )
        self._stalled = stalled
        return bool(stalled)


def _has_records_ahead(facts: Mapping[str, Any]) -> bool:
    return bool(
        facts["fetch_state"] == "active"
        and facts["fetchq_cnt"] == 0
        and 0 <= facts["next_offset"] < facts["ls_offset"]
    )
