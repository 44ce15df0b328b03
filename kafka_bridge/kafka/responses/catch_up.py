"""Track waiting jobs whose offsets lie behind the reader, or after the topic's end."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from operator import gt

from kafka_bridge.kafka.responses.subscriptions import Subscription

PATIENCE_SECONDS = 2.0
"""The longest that a job which asks to go back waits for others that do."""
REREAD_SHARE = 100_000
"""How many records may be read again for each second since the reader last went back: a tenth of
those that it can read."""
GOING_BACK_RECORDS = 10_000
"""What going back itself costs, in records that could be read meanwhile: new connections."""
END_KNOWN_SECONDS = 3.0
"""How long after a job came the ends at that moment are surely known: fetches take half a second,
statistics come each second."""


class CatchUp:
    """Jobs that need records which the reader has passed and no longer keeps.

    Where the reader has not begun to read, that is every job.
    """

    def __init__(self) -> None:
        self._jobs: dict[Subscription, None] = {}
        self._first: dict[int, int] = {}
        self._since = 0.0
        self._went_back_at = -math.inf

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._jobs)

    def add(self, jobs: Iterable[Subscription], partitions: Iterable[int]) -> None:
        """Add jobs that need records of these partitions."""
        newcomers = dict.fromkeys(jobs)
        if not newcomers:
            return
        if not self._jobs:
            self._since = time.monotonic()
        self._jobs |= newcomers
        for partition in partitions:
            first = min(each.position(partition) for each in newcomers)
            self._first[partition] = min(first, self._first.get(partition, first))

    def discard(self, job: Subscription) -> None:
        """Forget a job that waits no longer. What it asked for may still be read again."""
        self._jobs.pop(job, None)

    def go_back(self, starts: Mapping[int, int]) -> None:
        """Ask for these offsets, by partition, where the jobs ask for later ones."""
        for partition, start in starts.items():
            if partition in self._first:
                self._first[partition] = min(self._first[partition], start)

    def starts(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Return by partition from where to read for all of them and for those at ``positions``.

        ``positions`` is empty where the reader has not begun.
        """
        return {
            partition: min(self._first.get(partition, 0), positions.get(partition, sys.maxsize))
            for partition in positions or self._first
        }

    def are_worth_it(self, positions: Mapping[int, int], read: int) -> bool:
        """Return whether to go back for them now.

        Jobs that come steadily, each a little behind, must not stop the reader. So it goes back
        where that costs no more than what it has ``read`` since the last time, together with
        :data:`REREAD_SHARE`; or where the first of the jobs has waited long enough.
        """
        now = time.monotonic()
        if now - self._since > PATIENCE_SECONDS:
            return True
        starts = self.starts(positions)
        again = sum(positions[number] - starts[number] for number in positions)
        return again + GOING_BACK_RECORDS <= read + REREAD_SHARE * (now - self._went_back_at)

    def pop_all(self) -> list[Subscription]:
        """Return them all, and forget them: the reader goes back."""
        jobs, self._jobs, self._first = list(self._jobs), {}, {}
        self._went_back_at = time.monotonic()
        return jobs


class JobsAhead:
    """Jobs that start after what had been read when they came, usually for a moment."""

    def __init__(self) -> None:
        self._jobs: list[tuple[float, Subscription]] = []

    def add(self, jobs: Iterable[Subscription], positions: Mapping[int, int]) -> None:
        """Add those of the jobs that start after these positions."""
        read, now = _by_number(positions, positions), time.monotonic()
        self._jobs += [(now, job) for job in jobs if any(map(gt, job.positions, read))]

    def beyond(self, ends: Mapping[int, int], positions: Mapping[int, int]) -> list[Subscription]:
        """Return, once, the jobs that still start after the ends of partitions.

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
