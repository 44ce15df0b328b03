"""How many jobs a worker accepts: those that run, and a few quick ones ahead."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.in_flight import InFlightJob

WINDOW_SECONDS = 0.1
MOST_AHEAD = 500
REFILL_SHARE = 4


@dataclass(slots=True, eq=False)
class SharedSlot:
    """The slot that the jobs of a batch share.

    :ivar jobs: those whose handler has not ended, in the order of their acceptance
    """

    size: int
    jobs: dict[InFlightJob, None] = field(default_factory=dict)

    @property
    def has_seat(self) -> bool:
        """Whether another job may share it: its batch has not ended, is not full, has not begun."""
        return 0 < len(self.jobs) < self.size and not next(iter(self.jobs)).has_begun


class Slots:
    """Counts the jobs that are accepted and whose handlers have not ended.

    ACCEPTED is acknowledged before work starts. So that quick jobs do not wait for that one by one,
    some are accepted ahead: as many as were started in the last tenth of a second, less those that
    may still run. Each starts within about that time. Slow jobs are never accepted
    ahead: a reader of ACCEPTED expects the job to begin.

    The jobs of a batch share one slot.

    :ivar in_processes: the slots of jobs that run in child processes; None if there are none
    :ivar promised: how many slots are kept for jobs that go first
    """

    def __init__(self, concurrency: int) -> None:
        self.in_processes: ProcessSlots | None = None
        self.concurrency = concurrency
        self._holders: dict[InFlightJob | SharedSlot, Handler] = {}
        self._shared: dict[InFlightJob, SharedSlot] = {}
        self._last_shared: dict[str, SharedSlot] = {}
        self._by_type: Counter[str] = Counter()
        self._promised: Counter[str] = Counter()
        self._limited = 0
        self.promised = 0
        self._ahead = 0
        self._is_full = False
        self._started = 0
        self._window_ends = 0.0

    @property
    def taken(self) -> int:
        """How many slots are in use."""
        return len(self._holders)

    def promise(self, by_type: Counter[str]) -> None:
        """Keep this many slots of each job type free, instead of those promised before.

        They are for jobs that go first, once it is known that they may start.
        """
        if self.in_processes is not None:
            by_type = self.in_processes.promise_own(by_type)
        self._promised, self.promised = by_type, by_type.total()

    def look(self, started: int) -> None:
        """Follow how many jobs were started so far."""
        now = time.monotonic()
        if now >= self._window_ends:
            quick = max(0, started - self._started - self.concurrency)
            self._ahead = min(quick, MOST_AHEAD)
            self._started, self._window_ends = started, now + WINDOW_SECONDS

    def any_free(self) -> bool:
        """Tell whether a job of any type could be accepted.

        Once all that may be accepted ahead are, some have to start before more are accepted: many
        at once cost less than one by one.
        """
        limit = self.concurrency + self._ahead
        if self._is_full:
            limit -= self._ahead // REFILL_SHARE
        self._is_full = self.taken + self.promised >= limit
        return not self._is_full

    def free_for(self, handler: Handler) -> bool:
        """Tell whether a job with this handler can be accepted.

        Types with a limit of their own may be slow: no more of them are accepted than can run.
        Quick jobs that were accepted ahead do not count: they start within a moment.
        """
        if handler.concurrency is None:
            return self.any_free()
        if self.has_seat(handler):
            return True
        if handler.in_process and self.in_processes is not None:
            return self.in_processes.free_for(handler)
        job_type = handler.job_type
        return (
            self._by_type[job_type] + self._promised[job_type] < handler.concurrency
            and self._limited < self.concurrency
            and self.any_free()
        )

    def has_seat(self, handler: Handler) -> bool:
        """Tell whether a job with this handler can join a batch that has a slot."""
        shared = self._last_shared.get(handler.job_type)
        return shared is not None and shared.has_seat

    def reserve(self, job: InFlightJob, handler: Handler) -> None:
        """Reserve a slot for a job, or a seat in the slot of its batch."""
        if handler.in_process and self.in_processes is not None:
            self.in_processes.reserve(job, handler)
            return
        holder: InFlightJob | SharedSlot = job
        if handler.batching is not None:
            if not self.has_seat(handler):
                self._last_shared[handler.job_type] = SharedSlot(handler.batching.size)
            holder = self._shared[job] = self._last_shared[handler.job_type]
            holder.jobs[job] = None
            if holder in self._holders:
                return
        self._holders[holder] = handler
        self._by_type[handler.job_type] += 1
        self._limited += handler.concurrency is not None

    def free(self, job: InFlightJob) -> None:
        """Free the slot of a job, if it has one; that of a batch after its last job."""
        shared = self._shared.pop(job, None)
        if shared is not None:
            del shared.jobs[job]
            if shared.jobs:
                return
        handler = self._holders.pop(shared or job, None)
        if handler is not None:
            self._by_type[handler.job_type] -= 1
            self._limited -= handler.concurrency is not None
        elif self.in_processes is not None:
            self.in_processes.free(job)


class ProcessSlots(Slots):
    """The slots of jobs that run in child processes: one for each process, and none ahead.

    :param job_types: the job types that run there; each has a concurrency
    """

    def __init__(self, processes: int, job_types: frozenset[str]) -> None:
        super().__init__(processes)
        self._job_types = job_types

    def promise_own(self, by_type: Counter[str]) -> Counter[str]:
        """Promise slots of these job types; return the others."""
        own = {each: number for each, number in by_type.items() if each in self._job_types}
        self.promise(Counter(own))
        return by_type - Counter(own)
