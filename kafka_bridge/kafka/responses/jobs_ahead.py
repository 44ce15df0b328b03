"""Jobs that ask for offsets which their topic does not have, and so would wait in vain.

A job waits from where its response topic ended before its request was published, and keeps these
offsets for as long as it waits. Where the topic is deleted and created again meanwhile, or loses
records, that may be behind its end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from operator import gt

from kafka_bridge.kafka.responses.subscriptions import Subscription

END_KNOWN_SECONDS = 3.0
"""How long after a job came the ends at that moment are surely known: fetches take half a second,
statistics come each second."""


class JobsAhead:
    """Jobs that asked for more than had been read when they came: as a rule, for a moment."""

    def __init__(self) -> None:
        self._jobs: list[tuple[float, Subscription]] = []

    def add(self, jobs: Iterable[Subscription], positions: Mapping[int, int]) -> None:
        """Take in those of the jobs that ask for offsets after these positions."""
        read, now = _by_number(positions, positions), time.monotonic()
        self._jobs += [(now, job) for job in jobs if any(map(gt, job.positions, read))]

    def beyond(self, ends: Mapping[int, int], positions: Mapping[int, int]) -> list[Subscription]:
        """Return, once, the jobs that still ask for offsets behind the ends of partitions.

        :param ends: by partition, where it ended a moment ago, as far as known
        :param positions: has every partition of the topic
        """
        if not self._jobs:
            return []
        known, now = _by_number(positions, ends), time.monotonic()
        ahead = [
            each
            for each in self._jobs
            if not each[1].has_left and any(map(gt, each[1].positions, known))
        ]
        self._jobs = [each for each in ahead if now - each[0] <= END_KNOWN_SECONDS]
        return [job for since, job in ahead if now - since > END_KNOWN_SECONDS]


def _by_number(partitions: Iterable[int], offsets: Mapping[int, int]) -> list[int]:
    return [offsets.get(number, sys.maxsize) for number in sorted(partitions)]
