"""A batch's side of a hub: one place to wait for the notices of all its jobs."""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

from kafka_bridge.airflow.triggerer.hub import ResponseHub
from kafka_bridge.kafka.responses.event_readers import HeadReader, event_head
from kafka_bridge.kafka.responses.subscriptions import (
    MOST_PENDING,
    Notice,
    Subscription,
    is_passing,
)

JobNotice: TypeAlias = tuple[str, Notice]
"""A job's correlation id, and what is told of it."""


class BatchWaiter:
    """Waits for many jobs, from the same offsets on. The ``with`` block ends the wait.

    It is made first, which takes a while and may happen on any thread, and then joins a hub.

    :param start_offsets: by partition, the first offset that can concern the jobs
    :param read_head: what to make of their records
    """

    def __init__(
        self,
        job_ids: Iterable[str],
        start_offsets: Sequence[int],
        *,
        read_head: HeadReader = event_head,
    ) -> None:
        self.deadline: float | None = None
        self._hub: ResponseHub | None = None
        self._future: asyncio.Future[None] | None = None
        self._notices: deque[JobNotice] = deque()
        self._pending: dict[str, int] = {}
        positions = array("q", start_offsets)
        self._subscriptions = [
            Subscription(job.encode(), positions, partial(self._notify, job), read_head)
            for job in job_ids
        ]

    def join(self, hub: ResponseHub) -> Self:
        """Begin to wait.

        :raises ReaderClosed: the hub's reader has ended
        """
        hub.reader.join(self._subscriptions)
        hub.waited_for.update(each.key for each in self._subscriptions)
        self._hub = hub
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        hub = self._joined()
        hub.deadlines.remove(self)
        hub.waited_for.difference_update(each.key for each in self._subscriptions)
        for each in self._subscriptions:
            hub.reader.unsubscribe(each)
        self._subscriptions = []  # they refer to this: nothing is left to the garbage collector

    @property
    def live_since(self) -> float:
        """Since when the reader hears all that is said (seconds since 1970); infinite: not now."""
        return self._joined().live_since

    async def next(self, deadline: float) -> JobNotice | None:
        """Wait for the next notice, or until the deadline (seconds since 1970): then, None."""
        if not self._notices:
            self._future = asyncio.get_running_loop().create_future()
            self._joined().deadlines.set(self, deadline)
            try:
                await self._future
            finally:
                self._future = None
        if not self._notices:
            return None
        job, notice = self._notices.popleft()
        if (pending := self._pending.pop(job) - 1) > 0:
            self._pending[job] = pending
        return job, notice

    def wake(self) -> None:
        """Let :meth:`next` return."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _notify(self, job: str, notice: Notice) -> None:
        pending = self._pending.get(job, 0)
        # Of a job that publishes faster than that, its end alone is added.
        if pending < MOST_PENDING or (pending == MOST_PENDING and not is_passing(notice)):
            self._pending[job] = pending + 1
            self._notices.append((job, notice))
        self.wake()

    def _joined(self) -> ResponseHub:
        assert self._hub is not None  # noqa: S101  a programming error
        return self._hub
