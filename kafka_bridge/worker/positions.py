"""Which offsets may be committed while jobs of one partition finish out of order."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class PartitionPositions:
    """What one assignment of a partition has taken and finished.

    Only the offset up to which everything is finished may be committed: after a crash Kafka goes on
    from there, and a job that was not finished is delivered again.
    """

    committed: int | None = None
    _unfinished: set[int] = field(default_factory=set)
    _next: int | None = None

    def take(self, offset: int) -> None:
        """Note that the record at this offset was received."""
        self._unfinished.add(offset)
        self._next = offset + 1

    def skip_to(self, offset: int) -> None:
        """Note that the next record to be received has this offset or a later one."""
        self._next = max(offset, self._next or 0)

    def finish(self, offset: int) -> None:
        """Note that nothing more has to be done for the record at this offset."""
        self._unfinished.discard(offset)

    @property
    def position(self) -> int | None:
        """The offset to go on from after a crash; None where nothing was taken."""
        return min(self._unfinished, default=self._next)

    def to_commit(self) -> int | None:
        """Return the position, or None when it has not moved since it was last returned."""
        position = self.position
        if position == self.committed:
            return None
        self.committed = position
        return position
