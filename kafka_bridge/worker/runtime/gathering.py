"""Gathers accepted jobs into batches."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from itertools import islice

from kafka_bridge.worker.runtime.in_flight import InFlightJob


class Gathering:
    """Accepted jobs that wait for their batch, by job type. Its owner locks it.

    A batch is due when it is full, or when its first job has lingered for long enough. It waits on
    while as many batches of its type run as may run at a time.

    A job that may have killed other workers has a batch of its own: if it does so again, the others
    are not blamed.

    :param wake: has :meth:`next` called after this many seconds
    :param clock: monotonic seconds
    """

    def __init__(
        self, wake: Callable[[float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wake = wake
        self._clock = clock
        self._waiting: dict[str, deque[tuple[float, InFlightJob]]] = {}
        self._running: Counter[str] = Counter()

    def add(self, job: InFlightJob) -> None:
        """Add a job that may start."""
        assert job.handler.batching is not None  # noqa: S101
        waiting = self._waiting.setdefault(job.handler.job_type, deque())
        linger = job.handler.batching.linger
        waiting.append((self._clock() + linger, job))
        if len(waiting) == 1 and linger:
            self._wake(linger)

    def put_back(self, batch: list[InFlightJob]) -> None:
        """Put a batch back that could not be started: it is due again at once."""
        self.ended(batch[0])
        waiting = self._waiting[batch[0].handler.job_type]
        waiting.extendleft((0.0, each) for each in reversed(batch))

    def stopped(self) -> list[InFlightJob]:
        """Remove and return the jobs that have to stop: each ends by itself."""
        found = []
        for waiting in self._waiting.values():
            for due, job in [each for each in waiting if each[1].stop.reason is not None]:
                waiting.remove((due, job))
                found.append(job)
                self._running[job.handler.job_type] += 1
        return found

    def next(self) -> list[InFlightJob]:
        """Remove and return the jobs of a batch that is due; none if no batch is due."""
        for job_type, waiting in self._waiting.items():
            batch = self._batch(job_type, waiting) if waiting else []
            if batch:
                self._running[job_type] += 1
                taken = set(map(id, batch))
                left = [each for each in waiting if id(each[1]) not in taken]
                self._waiting[job_type] = deque(left)
                if left:
                    self._wake(max(0.0, left[0][0] - self._clock()))
                return batch
        return []

    def _batch(self, job_type: str, waiting: deque[tuple[float, InFlightJob]]) -> list[InFlightJob]:
        due, first = waiting[0]
        handler = first.handler
        assert handler.batching is not None  # noqa: S101
        assert handler.concurrency is not None  # noqa: S101
        size = handler.batching.size
        if self._running[job_type] >= handler.concurrency:
            return []
        for _, job in waiting:
            if job.is_suspect and job.may_start():
                return [job]
        if len(waiting) < size and self._clock() < due:
            return []
        startable = (job for _, job in waiting if not job.is_suspect and job.may_start())
        return list(islice(startable, size))

    def ended(self, one: InFlightJob) -> None:
        """Note that a batch has ended.

        :param one: any of its jobs
        """
        self._running[one.handler.job_type] -= 1
