"""What a worker has in hand: partitions, and requests of theirs that it has yet to answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.job_run import JobRun
from kafka_bridge.worker.positions import PartitionPositions
from kafka_bridge.worker.reporter import JobReporter
from kafka_bridge.worker.standing import Standing
from kafka_bridge.worker.stopping import StopReason

BACKLOG_RECORDS = 1000
"""How many requests wait in the process. Others cannot have them anyway while it has their
partitions, and they go back, uncommitted, with those."""


@dataclass(slots=True, eq=False)
class Partition:
    """One assignment of a partition; ``epoch`` numbers the assignments of this process.

    ``orphans`` are jobs, by offset, that were in hand when an earlier assignment of the same
    partition was lost: each is taken up again when its request comes once more. One that others
    have ended, with no request after it, is not found out: it says nothing, and keeps its place
    until its handler ends.
    """

    epoch: int
    orphans: dict[int, Claim] = field(default_factory=dict)
    positions: PartitionPositions = field(default_factory=PartitionPositions)


@dataclass(slots=True, eq=False)
class Claim:
    """A request that this worker sees to. ``reporter`` and ``run`` come as it does.

    ``is_ours``: whether the group has not given the job to another worker, as far as is known.
    """

    partition: Partition
    received: Received
    request: JobRequest
    encoding: Encoding
    standing: Standing
    is_ours: bool = True
    reporter: JobReporter | None = None
    run: JobRun | None = None

    @property
    def correlation_id(self) -> str:
        """The job's id."""
        return self.request.correlation_id

    @property
    def offset(self) -> int:
        """Where the request lies in its partition."""
        return self.received.offset

    def may_speak(self) -> bool:
        """Tell whether events of the job may go out now."""
        return self.is_ours and self.standing.may_speak()

    def tick(self) -> None:
        """Send what is due of the job's events."""
        if self.run is not None:
            self.run.tick()
        elif self.reporter is not None:
            self.reporter.tick()

    def give_up(self) -> None:
        """Say nothing more of the job, and ask its handler to stop."""
        if self.reporter is not None:
            self.reporter.abandon()
        if self.run is not None:
            self.run.stop.set(StopReason.LOST, "the group has given the job to another worker")


class Backlog:
    """Requests that wait in the process, in the order they came."""

    def __init__(self) -> None:
        self._claims: deque[Claim] = deque()
        self._is_full = False

    def __len__(self) -> int:
        return len(self._claims)

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._claims)

    def add(self, claim: Claim) -> None:
        """Take a request in."""
        self._claims.append(claim)

    @property
    def is_full(self) -> bool:
        """Whether to fetch no more, until it is half empty: a pause costs a lot of reading."""
        limit = BACKLOG_RECORDS // 2 if self._is_full else BACKLOG_RECORDS
        self._is_full = len(self._claims) >= limit
        return self._is_full

    def sift(self, goes: Callable[[Claim], bool], *, until: Callable[[], bool]) -> None:
        """Ask of each request, oldest first, whether it goes; stop asking once ``until()``."""
        kept: list[Claim] = []
        while self._claims and not until():
            claim = self._claims.popleft()
            if not goes(claim):
                kept.append(claim)
        self._claims.extendleft(reversed(kept))

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget the requests of these partitions: others will see to them."""
        gone = set(map(id, partitions))
        self._claims = deque(each for each in self._claims if id(each.partition) not in gone)

    def clear(self) -> None:
        """Forget all."""
        self._claims.clear()
