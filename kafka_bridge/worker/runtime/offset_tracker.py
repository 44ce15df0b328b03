"""Which offsets may be committed while jobs of one partition finish out of order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import chain


@dataclass(slots=True)
class OffsetTracker:
    """What one assignment of a partition has taken, passed over and finished.

    Only the offset up to which everything is finished may be committed: after a crash Kafka goes on
    from there, and a job that was not finished is delivered again.

    Of a request that was passed over only the offset is kept, by the lane that had no room for it.
    """

    committed: int | None = None
    _unfinished: set[int] = field(default_factory=set)
    _passed_over: dict[str, deque[int]] = field(default_factory=dict)
    _next: int | None = None

    def take(self, offset: int) -> None:
        """Note that the record at this offset was received."""
        self._unfinished.add(offset)
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """Note that nothing more has to be done for the record at this offset."""
        self._unfinished.discard(offset)

    def skip_to(self, offset: int) -> None:
        """Note that the next record to be received has this offset or a later one."""
        self._next = max(offset, self._next or 0)

    def may_pass_over(self, offset: int, lane: str) -> bool:
        """Tell whether a record can be read again later: it comes after those passed over."""
        waiting = self._passed_over.get(lane)
        return not waiting or waiting[-1] < offset

    def pass_over(self, offset: int, lane: str) -> None:
        """Note that the record at this offset, just received, is to be read again later."""
        self._unfinished.discard(offset)
        self._passed_over.setdefault(lane, deque()).append(offset)

    def take_back(self, offset: int, lane: str) -> bool:
        """Take a record that was read again; False where it is not the next one of its lane.

        Those that should have come before it no longer exist.
        """
        self.drop_before(offset, lane)
        if self.first_passed_over(lane) != offset:
            return False
        self._unfinished.add(offset)
        self.drop_before(offset + 1, lane)
        return True

    def drop_before(self, offset: int, lane: str) -> None:
        """Forget those passed over that lie before this offset: they no longer exist."""
        waiting = self._passed_over.get(lane)
        while waiting and waiting[0] < offset:
            waiting.popleft()
        if not waiting:
            self._passed_over.pop(lane, None)

    def first_passed_over(self, lane: str) -> int | None:
        """Return from where on a lane's records are to be read again; None where there is none."""
        waiting = self._passed_over.get(lane)
        return waiting[0] if waiting else None

    @property
    def lanes_passed_over(self) -> list[str]:
        """The lanes that records were passed over for."""
        return list(self._passed_over)

    @property
    def passed_over(self) -> int:
        """How many records are to be read again."""
        return sum(map(len, self._passed_over.values()))

    @property
    def position(self) -> int | None:
        """The offset to go on from after a crash; None where nothing was taken."""
        firsts = (waiting[0] for waiting in self._passed_over.values())
        return min(chain(self._unfinished, firsts), default=self._next)

    def to_commit(self) -> int | None:
        """Return the position, or None when it has not moved since it was last returned."""
        position = self.position
        if position == self.committed:
            return None
        self.committed = position
        return position
