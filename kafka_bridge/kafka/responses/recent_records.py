"""The records that a reader has just read, kept for the jobs that come a few seconds late.

A task publishes its request, defers, and is picked up by a triggerer seconds later; its first
events, or all of them, have gone by until then. Found here, they need not be read from Kafka again.

Tens of thousands of objects that live for seconds are what Python's garbage collector is worst at:
each time a quarter has been added to what it knows, it looks at everything in the process. So
records are kept as plain tuples of tuples, which it forgets about; confluent_kafka's messages, and
lists, it would not.
And the reader keeps nothing while it is further behind the head than the window is long: it would
be gone from the window before the reader is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import confluent_kafka as ck

from kafka_bridge.kafka.records import headers_of

WINDOW_BYTES = 64 * 1024 * 1024
RECORD_BYTES = 300
"""What a record takes in memory besides value and headers: measured, Python 3.11, 36-byte keys."""
HEADER_BYTES = 200
"""What a header takes besides its value: measured in the same way."""

Facts: TypeAlias = tuple[
    bytes | None, int, int, bytes | None, tuple[tuple[str, bytes | None], ...] | None
]
"""A record's key, partition, offset, value and headers."""


def facts_of(message: ck.Message) -> Facts:
    """Return what is to be known of a message."""
    return cast(
        Facts,
        (
            message.key(),
            message.partition(),
            message.offset(),
            message.value(),
            tuple(headers) if (headers := headers_of(message)) else None,
        ),
    )


def _bytes_of_headers(records: Iterable[Facts]) -> int:
    return sum(
        HEADER_BYTES + len(value or b"")
        for *_, headers in records
        if headers
        for _, value in headers
    )


@dataclass(slots=True)
class RecentRecords:
    """A window of records, in the order they were read, bounded by the memory that they take.

    ``floor`` says by partition from which offset on the window holds every record.
    """

    limit: int = WINDOW_BYTES
    floor: dict[int, int] = field(default_factory=dict)
    _batches: deque[tuple[list[Facts], dict[int, int], int]] = field(default_factory=deque)
    _bytes: int = 0

    @property
    def capacity(self) -> int:
        """How many records can fit at the most."""
        return self.limit // RECORD_BYTES

    def start_at(self, positions: Mapping[int, int]) -> None:
        """Forget everything: what is kept begins at these positions."""
        self._batches.clear()
        self._bytes = 0
        self.floor = dict(positions)

    def add(self, batch: Sequence[ck.Message], positions: dict[int, int]) -> None:
        """Keep a batch; ``positions`` are those after it."""
        records = list(map(facts_of, batch))
        size = sum(map(len, batch)) + RECORD_BYTES * len(batch) + _bytes_of_headers(records)
        self._batches.append((records, positions, size))
        self._bytes += size
        while self._bytes > self.limit:
            _, self.floor, gone = self._batches.popleft()
            self._bytes -= gone

    def covers(self, positions: Sequence[int]) -> bool:
        """Return whether every record from these offsets on (by partition, else 0) is here.

        It is not where nothing was read yet.
        """
        return bool(self.floor) and all(
            floor <= (positions[partition] if partition < len(positions) else 0)
            for partition, floor in self.floor.items()
        )

    def __iter__(self) -> Iterator[Facts]:
        """Go through what is kept, oldest first."""
        return (record for records, _, _ in self._batches for record in records)
