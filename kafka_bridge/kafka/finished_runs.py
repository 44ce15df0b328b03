"""The finished offsets above a committed one, as a text for Kafka's commit metadata.

The committed offset of a partition is that of its oldest unfinished request. What is finished above
it is written beside it, as runs of offsets. A worker that takes the partition over need not read
those requests again. Nothing depends on it: a worker that does not find the text, or cannot read
it, reads the requests and finds in the ledger that their jobs are finished. Airflow counts with it
how many jobs are before one that is queued.

That an offset is finished stays true, so an old text is as true as a new one, and part of a text is
as true as all of it. But the offsets may belong to other records by now: the topic was created
again, has lost its end, or was copied to another cluster together with its commits. So the text
also has the offset for which it was committed, and the last record that its writer consumed.

See docs/decisions/0035-finished-runs-in-the-commit.md.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

MOST_BYTES = 4096
"""The longest metadata that brokers accept, unless ``offset.metadata.max.bytes`` says otherwise."""
_TEXT = re.compile(r"kafka-bridge:1:([0-9]{1,19}(?:,[0-9]{1,19})+):([0-9a-f]{8})")
"""Version 1: numbers and their CRC-32. The numbers are the committed offset; how far above it the
last consumed record lies, and its checksum; then for each run how many offsets before it are not
finished, and how many are."""

Run: TypeAlias = tuple[int, int]
"""Adjacent offsets: the first one, and the one after the last."""


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """A record that was consumed, by which its partition can be recognised.

    :ivar checksum: the CRC-32 of its key and its timestamp
    """

    offset: int
    checksum: int

    @classmethod
    def of(cls, offset: int, key: bytes | None, timestamp_ms: int) -> ConsumedRecord:
        """Return the record with this offset, key and timestamp."""
        return cls(offset, zlib.crc32(b"%b %d" % (key or b"", timestamp_ms)))


@dataclass(frozen=True, slots=True)
class FinishedRuns:
    """Runs of finished offsets of a partition.

    :ivar runs: ascending, and none touches the next one
    :ivar last: a record that was consumed, at the last offset of the runs or above it
    """

    runs: tuple[Run, ...]
    last: ConsumedRecord

    @classmethod
    def up_to(cls, last: ConsumedRecord, runs: Iterable[Run]) -> FinishedRuns:
        """Return what of these ascending runs is not above the last record; join what touches."""
        joined: list[Run] = []
        for start, end in runs:
            cut = min(end, last.offset + 1)
            if joined and joined[-1][1] == start:
                start = joined.pop()[0]  # noqa: PLW2901  it begins with the run before
            if start < cut:
                joined.append((start, cut))
        return cls(tuple(joined), last)

    @property
    def offsets(self) -> int:
        """How many offsets the runs have."""
        return sum(end - start for start, end in self.runs)


def to_metadata(committed: int, finished: FinishedRuns, most_bytes: int = MOST_BYTES) -> str:
    """Return the text to commit beside an offset; empty if nothing is finished.

    If there are too many runs, the shortest ones are left out.

    :param committed: the offset that is committed; no run begins before it
    """
    longest_first = sorted(finished.runs, key=lambda run: run[0] - run[1])
    while longest_first:
        text = _text(committed, finished.last, sorted(longest_first))
        if len(text) <= most_bytes:
            return text
        keep = len(longest_first) * most_bytes // len(text)
        del longest_first[min(keep, len(longest_first) - 1) :]
    return ""


def from_metadata(committed: int, text: str | None) -> FinishedRuns | None:
    """Return what was committed beside an offset; None if this module has not written it for that.

    :param committed: the offset that was committed
    """
    found = _TEXT.fullmatch(text or "")
    if found is None or found[2] != _checksum(found[1]):
        return None
    base, *facts = map(int, found[1].split(","))
    if base != committed or len(facts) % 2:
        return None
    last = ConsumedRecord(base + facts[0], facts[1])
    return FinishedRuns.up_to(last, _runs(base, facts[2:]))


def _text(committed: int, last: ConsumedRecord, runs: Sequence[Run]) -> str:
    numbers, at = [committed, last.offset - committed, last.checksum], committed
    for start, end in runs:
        numbers += (start - at, end - start)
        at = end
    joined = ",".join(map(str, numbers))
    return f"kafka-bridge:1:{joined}:{_checksum(joined)}"


def _runs(base: int, lengths: Sequence[int]) -> Iterator[Run]:
    """Yield the runs of which the lengths were written: unfinished, finished, unfinished, …."""
    at = base
    for unfinished, finished in zip(lengths[::2], lengths[1::2], strict=True):
        start = at + unfinished
        at = start + finished
        yield start, at


def _checksum(numbers: str) -> str:
    return f"{zlib.crc32(numbers.encode()):08x}"
