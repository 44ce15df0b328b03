"""The queued jobs of a worker, in lanes: which job is next, and which lane has room.

A job type with a concurrency of its own has a lane of its own, so that its queue delays no
other; all other types share one lane. Within a lane, jobs that had begun on another worker go
first: their tasks know already that they run.

A lane has a limit. What a full lane has no room for is skipped: see
:mod:`kafka_bridge.worker.runtime.skipped_requests`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.partition import Partition

BACKLOG_RECORDS = 1000
"""How many jobs of the shared lane are queued. Other workers cannot have them anyway while this one
has their partitions; uncommitted, they go with those."""
LANE_RECORDS = 250
"""The same for each job type with a concurrency of its own."""
MOST_BEGUN = 10_000
"""How many queued jobs go first because other workers had begun them, in all lanes: a gateway that
died may have had that many. More of them wait like jobs that no worker has begun."""
SHARED = ""
"""The name of the lane that job types share; the others are named for their type."""


@dataclass(slots=True, eq=False)
class Lane:
    """Jobs that wait for the same slots.

    :ivar handler: of the job type that has this lane for itself, None for the shared lane
    """

    name: str
    limit: int
    handler: Handler | None = None
    begun: deque[InFlightJob] = field(default_factory=deque)
    fresh: deque[InFlightJob] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.begun) + len(self.fresh)

    @property
    def is_in_processes(self) -> bool:
        """Whether its jobs run in child processes."""
        return self.handler is not None and self.handler.in_process

    @property
    def is_in_batches(self) -> bool:
        """Whether its jobs run in batches."""
        return self.handler is not None and self.handler.batching is not None

    @property
    def has_room(self) -> bool:
        """Whether another job may be queued here."""
        return len(self.begun) + len(self.fresh) < self.limit

    @property
    def is_half_empty(self) -> bool:
        """Whether skipped requests may be read again: many at once cost less."""
        return len(self.begun) + len(self.fresh) < self.limit // 2

    def first(self) -> InFlightJob | None:
        """Return the next job of this lane."""
        waiting = self.begun or self.fresh
        return waiting[0] if waiting else None

    def pop(self) -> InFlightJob:
        """Remove and return the job that :meth:`first` returns."""
        return (self.begun or self.fresh).popleft()

    def put_back(self, jobs: Iterable[InFlightJob]) -> None:
        """Put removed jobs back in front, in their order."""
        for job in reversed(list(jobs)):
            (self.begun if job.began_elsewhere else self.fresh).appendleft(job)

    def keep(self, wanted: Callable[[InFlightJob], bool]) -> None:
        """Keep only the wanted jobs."""
        self.begun = deque(filter(wanted, self.begun))
        self.fresh = deque(filter(wanted, self.fresh))


class Backlog:
    """The queued jobs of a worker.

    ``undecided`` jobs are in no lane yet: the ledger has to be read first, to find out whether
    others have begun or finished them.

    :param handlers: by job type
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.undecided: deque[InFlightJob] = deque()
        self._shared = Lane(SHARED, BACKLOG_RECORDS)
        self._own = {
            job_type: Lane(job_type, _limit(handler), handler)
            for job_type, handler in handlers.items()
            if handler.concurrency is not None
        }
        self._lanes = [self._shared, *self._own.values()]
        self._in_threads = [each for each in self._lanes if not each.is_in_processes]
        self._in_processes = [each for each in self._lanes if each.is_in_processes]
        self._in_batches = [each for each in self._lanes if each.is_in_batches]
        self._arrivals = 0
        self._is_full = False

    def __len__(self) -> int:
        return len(self.undecided) + sum(map(len, self._lanes))

    def __iter__(self) -> Iterator[InFlightJob]:
        lanes = (each for lane in self._lanes for each in (lane.begun, lane.fresh))
        return chain(self.undecided, *lanes)

    def waiting(self) -> dict[str, tuple[int, datetime]]:
        """Return by job type how many jobs wait, and when the oldest of them was created.

        Any thread may ask: the queues are copied, each at once.
        """
        queues = [
            self.undecided,
            *(each for lane in self._lanes for each in (lane.begun, lane.fresh)),
        ]
        found: dict[str, tuple[int, datetime]] = {}
        for job in chain.from_iterable([each.copy() for each in queues]):
            request = job.request
            number, oldest = found.get(request.job_type, (0, request.created_at))
            found[request.job_type] = number + 1, min(oldest, request.created_at)
        return found

    def lane_of(self, job: InFlightJob) -> Lane:
        """Return the lane of a job."""
        return self._own.get(job.request.job_type, self._shared)

    def lane(self, name: str) -> Lane:
        """Return a lane by its name."""
        return self._own.get(name, self._shared)

    def add(self, job: InFlightJob) -> None:
        """Queue a job in its lane, last of those that had begun elsewhere, or of all."""
        self._arrivals += 1
        job.turn = (not job.began_elsewhere, self._arrivals)
        lane = self.lane_of(job)
        (lane.begun if job.began_elsewhere else lane.fresh).append(job)

    @property
    def has_room_for_begun(self) -> bool:
        """Whether another job may go first, and get heartbeats, because others had begun it."""
        return sum(len(lane.begun) for lane in self._lanes) < MOST_BEGUN

    @property
    def is_full(self) -> bool:
        """Whether to fetch nothing more, until it is half empty: a pause costs a lot of reading.

        Only the shared lane makes it full: what a lane of one type has no room for is skipped.
        """
        limit = BACKLOG_RECORDS // 2 if self._is_full else BACKLOG_RECORDS
        self._is_full = max(len(self._shared), len(self.undecided)) >= limit
        return self._is_full

    def sift(
        self,
        goes: Callable[[InFlightJob], bool],
        *,
        until: Callable[[], bool],
        is_open: Callable[[Handler], bool],
    ) -> None:
        """Visit each job in its turn, and remove those that leave the queue.

        :param goes: called with each job: whether it leaves the queue
        :param until: called before each: whether to stop
        :param is_open: called for a type with a lane of its own: whether a job of it could start
        """
        self._sift(self._in_threads, goes, until, is_open)

    def sift_processes(
        self, goes: Callable[[InFlightJob], bool], *, is_open: Callable[[Handler], bool]
    ) -> None:
        """Do the same with the job types that run in child processes: their slots are others."""
        self._sift(self._in_processes, goes, lambda: False, is_open)

    def sift_batches(
        self, goes: Callable[[InFlightJob], bool], *, is_open: Callable[[Handler], bool]
    ) -> None:
        """Do the same with the job types that run in batches: a batch that has a slot has room."""
        self._sift(self._in_batches, goes, lambda: False, is_open)

    def _sift(
        self,
        lanes: list[Lane],
        goes: Callable[[InFlightJob], bool],
        until: Callable[[], bool],
        is_open: Callable[[Handler], bool],
    ) -> None:
        kept: dict[Lane, list[InFlightJob]] = {}
        while not until() and (lane := self._next(lanes, is_open)) is not None:
            job = lane.pop()
            if not goes(job):
                kept.setdefault(lane, []).append(job)
        for lane, jobs in kept.items():
            lane.put_back(jobs)

    def _next(self, lanes: list[Lane], is_open: Callable[[Handler], bool]) -> Lane | None:
        """Return the lane of the next job."""
        chosen, turn = None, (True, self._arrivals + 1)
        for lane in lanes:
            first = lane.first()
            if first is None or first.turn >= turn:
                continue
            if lane.handler is None or is_open(lane.handler):
                chosen, turn = lane, first.turn
        return chosen

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Remove the jobs of these partitions: other workers get them."""
        gone = set(map(id, partitions))

        def stays(job: InFlightJob) -> bool:
            return id(job.partition) not in gone

        self.undecided = deque(filter(stays, self.undecided))
        for lane in self._lanes:
            lane.keep(stays)

    def clear_lanes(self) -> None:
        """Remove all jobs but the undecided ones."""
        for lane in self._lanes:
            lane.keep(lambda _: False)


def _limit(handler: Handler) -> int:
    """Return how many jobs of a type with a lane of its own are queued: two batches at least."""
    batching = handler.batching
    return LANE_RECORDS if batching is None else max(LANE_RECORDS, 2 * batching.size)
