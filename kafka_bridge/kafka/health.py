"""Judge from librdkafka's statistics whether a reader receives everything in time.

It does not while no broker is connected, while it catches up, and while an open transaction holds
back the last stable offset of a partition. Silence then proves nothing: a worker may be publishing.

The fields are those of librdkafka's STATISTICS.md: ``hi_offset`` is the high watermark,
``ls_offset`` the last stable offset, ``rxidle`` the microseconds since a broker last sent anything.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka_bridge.bounded_log import bounded_logger

_log = bounded_logger(__name__)

STATISTICS_MS = 1000
LAG_RECORDS = 10_000
"""A reader that is no further behind than this is live: it reads a million records a second."""
SILENCE_MICROSECONDS = 5_000_000
"""A broker answers each fetch within half a second, with records or without."""
STALL_SECONDS = 30.0
"""How long a partition must not move to count as stalled, seconds. A fetch takes half a
second, a leader election a few."""


@dataclass(frozen=True, slots=True)
class ReaderHealth:
    """Whether a reader can receive events. ``lag`` is in records, over all partitions."""

    connected: bool
    held_back: bool
    lag: int

    @property
    def is_live(self) -> bool:
        """Whether silence means that no worker publishes."""
        return self.connected and not self.held_back and self.lag <= LAG_RECORDS


def reader_health(
    facts: Mapping[str, Any], topic: str, positions: Mapping[int, int]
) -> ReaderHealth:
    """Return what librdkafka's statistics say of a topic's reader.

    :param facts: the statistics, out of their JSON
    :param positions: by partition, the offset that the reader wants next
    """
    known = facts["topics"].get(topic, {}).get("partitions", {})
    partitions = {number: known.get(str(number)) for number in positions}
    answering = answering_brokers(facts)
    ends = {number: facts["ls_offset"] for number, facts in partitions.items() if facts}
    return ReaderHealth(
        connected=bool(partitions)
        and all(each and each["leader"] in answering for each in partitions.values()),
        held_back=any(each and _is_held_back(each) for each in partitions.values()),
        lag=sum(max(0, end - positions[number]) for number, end in ends.items()),
    )


def answering_brokers(facts: Mapping[str, Any]) -> set[int]:
    """Return the ids of the brokers that have answered just now, by librdkafka's statistics."""
    return {broker["nodeid"] for broker in facts["brokers"].values() if _answers(broker)}


def _is_held_back(partition: dict[str, Any]) -> bool:
    return bool(0 <= partition["ls_offset"] < partition["hi_offset"])


def _answers(broker: dict[str, Any]) -> bool:
    return bool(broker["state"] == "UP" and broker["rxidle"] < SILENCE_MICROSECONDS)


class StallWatch:
    """Watches the partitions of one consumer of a topic."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._still: dict[int, tuple[int, float]] = {}
        self._stalled: set[int] = set()

    def look(self, partitions: Mapping[str, Mapping[str, Any]]) -> bool:
        """Return whether a partition is stalled; log when it becomes so.

        A partition is stalled if it has records before the last stable offset (so an open
        transaction is not a reason), none of them is in the local queue, and the next offset has
        been the same for :data:`STALL_SECONDS`.

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
                "%s[%d]: the consumer has been at offset %d for %g s, although the partition ends "
                "at %d and its broker answers. Later jobs wait. Look at the broker's log; one "
                "possible cause is a record larger than 'receive.message.max.bytes'",
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
