"""Requests that wait in the process, in lanes: whose turn it is, and which there is room for.

A job type with a concurrency of its own has a lane of its own, so that what waits for it holds up
nothing else; all others share one. Within a lane, what had begun on another worker goes first: its
task has been told that it runs.

A lane has room for so many. What a full lane has no room for is passed over: see
:mod:`kafka_bridge.worker.runtime.skipped_requests`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.claims import Claim, Partition

BACKLOG_RECORDS = 1000
"""How many requests of the shared lane wait in the process. Others cannot have them anyway while it
has their partitions, and they go back, uncommitted, with those."""
LANE_RECORDS = 250
"""The same for each job type with a concurrency of its own."""
MOST_BEGUN = 10_000
"""How many requests wait whose jobs others had begun, whatever their lanes: a gateway that died may
have had so many. Any more wait like those that nobody has begun."""
SHARED = ""
"""The name of the lane that job types share; the others are named for their type."""


@dataclass(slots=True, eq=False)
class Lane:
    """Requests that wait for the same places.

    ``handler``: of the job type that has this lane for itself, None in the shared one.
    """

    name: str
    limit: int
    handler: Handler | None = None
    begun: deque[Claim] = field(default_factory=deque)
    fresh: deque[Claim] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.begun) + len(self.fresh)

    @property
    def has_room(self) -> bool:
        """Whether another request may wait here."""
        return len(self.begun) + len(self.fresh) < self.limit

    @property
    def is_half_empty(self) -> bool:
        """Whether so few wait that those passed over may come back: many at once cost less."""
        return len(self.begun) + len(self.fresh) < self.limit // 2

    def first(self) -> Claim | None:
        """Return the request whose turn is the next one of this lane."""
        waiting = self.begun or self.fresh
        return waiting[0] if waiting else None

    def pop(self) -> Claim:
        """Take out the request that :meth:`first` returns."""
        return (self.begun or self.fresh).popleft()

    def put_back(self, claims: Iterable[Claim]) -> None:
        """Put back what was taken out, in the order in which it was."""
        for claim in reversed(list(claims)):
            (self.begun if claim.is_begun else self.fresh).appendleft(claim)

    def keep(self, wanted: Callable[[Claim], bool]) -> None:
        """Forget all but those that are wanted."""
        self.begun = deque(filter(wanted, self.begun))
        self.fresh = deque(filter(wanted, self.fresh))


class Backlog:
    """Requests that wait in the process.

    ``undecided`` are those of which it has yet to be learnt whether others have begun or finished
    them; they are in no lane yet.

    :param handlers: by job type
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.undecided: deque[Claim] = deque()
        self._shared = Lane(SHARED, BACKLOG_RECORDS)
        self._own = {
            job_type: Lane(job_type, LANE_RECORDS, handler)
            for job_type, handler in handlers.items()
            if handler.concurrency is not None
        }
        self._lanes = [self._shared, *self._own.values()]
        self._arrivals = 0
        self._is_full = False

    def __len__(self) -> int:
        return len(self.undecided) + sum(map(len, self._lanes))

    def __iter__(self) -> Iterator[Claim]:
        lanes = (each for lane in self._lanes for each in (lane.begun, lane.fresh))
        return chain(self.undecided, *lanes)

    def lane_of(self, claim: Claim) -> Lane:
        """Return the lane in which a request waits."""
        return self._own.get(claim.request.job_type, self._shared)

    def lane(self, name: str) -> Lane:
        """Return a lane by its name."""
        return self._own.get(name, self._shared)

    def add(self, claim: Claim) -> None:
        """Take a request in, last of those that are as far as it is."""
        self._arrivals += 1
        claim.turn = (not claim.is_begun, self._arrivals)
        lane = self.lane_of(claim)
        (lane.begun if claim.is_begun else lane.fresh).append(claim)

    @property
    def takes_begun(self) -> bool:
        """Whether another request may go first, and be spoken for, because others had begun it."""
        return sum(len(lane.begun) for lane in self._lanes) < MOST_BEGUN

    @property
    def is_full(self) -> bool:
        """Whether to fetch no more, until it is half empty: a pause costs a lot of reading.

        Only the shared lane makes it full: what a lane of one type has no room for is passed over.
        """
        limit = BACKLOG_RECORDS // 2 if self._is_full else BACKLOG_RECORDS
        self._is_full = max(len(self._shared), len(self.undecided)) >= limit
        return self._is_full

    def sift(
        self,
        goes: Callable[[Claim], bool],
        *,
        until: Callable[[], bool],
        is_open: Callable[[Handler], bool],
    ) -> None:
        """Ask of each request, in the order of their turns, whether it goes.

        :param until: asked before each: whether that is enough
        :param is_open: asked of a type with a lane of its own: whether one of it could go
        """
        kept: dict[Lane, list[Claim]] = {}
        while not until() and (lane := self._next(is_open)) is not None:
            claim = lane.pop()
            if not goes(claim):
                kept.setdefault(lane, []).append(claim)
        for lane, claims in kept.items():
            lane.put_back(claims)

    def _next(self, is_open: Callable[[Handler], bool]) -> Lane | None:
        """Return the lane of the request whose turn it is."""
        chosen, turn = None, (True, self._arrivals + 1)
        for lane in self._lanes:
            first = lane.first()
            if first is None or first.turn >= turn:
                continue
            if lane.handler is None or is_open(lane.handler):
                chosen, turn = lane, first.turn
        return chosen

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget the requests of these partitions: others will see to them."""
        gone = set(map(id, partitions))

        def stays(claim: Claim) -> bool:
            return id(claim.partition) not in gone

        self.undecided = deque(filter(stays, self.undecided))
        for lane in self._lanes:
            lane.keep(stays)

    def clear(self) -> None:
        """Forget all."""
        self.undecided.clear()
        for lane in self._lanes:
            lane.keep(lambda _: False)
