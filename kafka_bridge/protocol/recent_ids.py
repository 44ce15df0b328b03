"""The last correlation ids of many, in a megabyte and 20 bytes each.

A set of them takes 150 bytes for each id, and a dictionary that drops its first key for each new
one becomes slow: it looks for the first key behind all the places of those that it has dropped.
"""

from __future__ import annotations

from binascii import unhexlify

_BUCKETS = 1 << 12
_MARKS = 1 << 19
_ID_BYTES = 16
_TEXT_BYTES = 36


class RecentIds:
    """Holds the ids that were added last: at least half of ``most``, at most all of it.

    Ids are the canonical texts of UUIDs, as bytes. What is none is not held: no job has such an id.

    :param most: how many ids are held
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._newer, self._older = _Ids(), _Ids()

    def add(self, job: bytes) -> bool:
        """Add an id; tell whether older ones were dropped for it."""
        packed = _packed(job)
        if not packed:
            return False
        had_older = False
        if self._newer.count >= self._half:
            had_older = self._older.count > 0
            self._newer, self._older = _Ids(), self._newer
        self._newer.add(job, packed)
        return had_older

    def __contains__(self, job: bytes) -> bool:
        mark = hash(job) % _MARKS
        newer, older = self._newer, self._older
        if not newer.marks[mark] and not older.marks[mark]:
            return False  # nearly always, and asked several times for each job
        packed = _packed(job)
        return bool(packed) and (newer.has(packed) or older.has(packed))

    def __len__(self) -> int:
        return self._newer.count + self._older.count


class _Ids:
    """A set of ids.

    :ivar marks: by the last bits of an id's hash, whether such an id is held
    """

    __slots__ = ("_buckets", "count", "marks")

    def __init__(self) -> None:
        self.count = 0
        self.marks = bytearray(_MARKS)
        # Those with the same last bits of their packed form's hash are in one array.
        self._buckets = [bytearray() for _ in range(_BUCKETS)]

    def add(self, job: bytes, packed: bytes) -> None:
        self.count += 1
        self.marks[hash(job) % _MARKS] = 1
        self._buckets[hash(packed) % _BUCKETS].extend(packed)

    def has(self, packed: bytes) -> bool:
        bucket = self._buckets[hash(packed) % _BUCKETS]
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
