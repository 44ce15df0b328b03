"""The records that a reader has just read, kept for the jobs that come a few seconds late.

A task publishes its request, defers, and is picked up by a triggerer seconds later; its first
events, or all of them, have gone by until then. Found here, they need not be read from Kafka again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import confluent_kafka as ck

WINDOW_BYTES = 64 * 1024 * 1024
RECORD_BYTES = 400
"""What a record takes in memory besides its value: measured, Python 3.11, keys of 36 bytes."""


@dataclass(slots=True)
class RecentRecords:
    """A window of records, in the order they were read, bounded by the memory that they take.

    ``floor`` says by partition from which offset on the window holds every record.
    """

    limit: int = WINDOW_BYTES
    floor: dict[int, int] = field(default_factory=dict)
    _batches: deque[tuple[Sequence[ck.Message], dict[int, int], int]] = field(default_factory=deque)
    _bytes: int = 0

    def start_at(self, positions: Mapping[int, int]) -> None:
        """Forget everything: reading goes on from these positions."""
        self._batches.clear()
        self._bytes = 0
        self.floor = dict(positions)

    def add(self, batch: Sequence[ck.Message], positions: dict[int, int]) -> None:
        """Keep a batch; ``positions`` are those after it."""
        size = sum(map(len, batch)) + RECORD_BYTES * len(batch)
        self._batches.append((batch, positions, size))
        self._bytes += size
        while self._bytes > self.limit:
            _, self.floor, gone = self._batches.popleft()
            self._bytes -= gone

    def covers(self, positions: Sequence[int]) -> bool:
        """Tell whether every record from these offsets on (by partition, else 0) is here."""
        return all(
            floor <= (positions[partition] if partition < len(positions) else 0)
            for partition, floor in self.floor.items()
        )

    def with_key_in(self, keys: Container[bytes]) -> Iterator[ck.Message]:
        """Yield the kept records whose key is one of these, oldest first."""
        for batch, _, _ in self._batches:
            for message in batch:
                if message.key() in keys:
                    yield message
