"""The last correlation ids of many, in 20 bytes each.

A set of them takes 150 bytes for each id, and a dictionary that drops its first key for each new
one becomes slow: it looks for the first key behind all the places of those that it has dropped.
"""

from __future__ import annotations

from binascii import unhexlify

_BUCKETS = 1 << 12
_ID_BYTES = 16
_TEXT_BYTES = 36


class RecentIds:
    """Holds the ids that were added last: at least half of ``most``, at most all of it.

    Ids are the canonical texts of UUIDs, as bytes. What is none is not held: no job has such an id.

    :param most: how many ids are held
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._newer, self._older = _buckets(), _buckets()
        self._count = self._older_count = 0

    def add(self, job: bytes) -> bool:
        """Add an id; tell whether older ones were dropped for it."""
        packed = _packed(job)
        if not packed:
            return False
        had_older = False
        if self._count >= self._half:
            had_older = self._older_count > 0
            self._newer, self._older = _buckets(), self._newer
            self._count, self._older_count = 0, self._count
        self._newer[hash(packed) % _BUCKETS].extend(packed)
        self._count += 1
        return had_older

    def __contains__(self, job: bytes) -> bool:
        # Asked several times for each job: each step that is left out counts.
        if not self._count or not (packed := _packed(job)):
            return False
        place = hash(packed) % _BUCKETS
        if _has(self._newer[place], packed):
            return True
        return self._older_count > 0 and _has(self._older[place], packed)

    def __len__(self) -> int:
        return self._count + self._older_count


def _buckets() -> list[bytearray]:
    """Return an empty set of ids: those with the same last bits of their hash are in one array."""
    return [bytearray() for _ in range(_BUCKETS)]


def _has(bucket: bytearray, packed: bytes) -> bool:
    at = bucket.find(packed)
    while at > 0 and at % _ID_BYTES:  # the end of one id and the beginning of the next
        at = bucket.find(packed, at + 1)
    return at >= 0


def _packed(job: bytes) -> bytes:
    """Return the 16 bytes of an id; none if the text is not that of a UUID."""
    if len(job) != _TEXT_BYTES or job[8:24:5] != b"----":
        return b""
    try:
        packed = unhexlify(job.replace(b"-", b""))
    except ValueError:
        return b""
    return packed if len(packed) == _ID_BYTES else b""
