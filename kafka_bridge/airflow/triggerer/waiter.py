"""A trigger's side of a response hub: waits for the notices of one job, or of a batch's jobs."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from kafka_bridge.airflow.triggerer.hub import ResponseHub
from kafka_bridge.kafka.response_records import HeadReader, event_head
from kafka_bridge.kafka.responses.subscriptions import Notice, Subscription, add_pending

JobNotice: TypeAlias = tuple[str, Notice]
"""A job's correlation id, and what arrived for it."""

_NONE: list[Notice] = []  # never changed: an inbox without notices has no list of its own


class Waiter:
    """Waits for jobs, from the same offsets on. The ``with`` block ends the wait.

    A waiter of many jobs takes a while to make: do that on a thread. Then let it join a hub.

    There are tens of thousands of waiters with one job, so each has few objects of its own.

    :param job_ids: the jobs' correlation ids
    :param start_offsets: by partition, the first offset that can concern the jobs
    :param read_head: reads their records; ``plain_head`` for plain replies
    """

    __slots__ = ("_first", "_future", "_hub", "_last", "_subscriptions", "deadline")

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
        self._first: _JobInbox | None = None
        self._last: _JobInbox | None = None
        positions = array("q", start_offsets)
        self._subscriptions: Sequence[Subscription] = tuple(
            Subscription(job.encode(), positions, _JobInbox(self, job), read_head)
            for job in job_ids
        )

    @property
    def keys(self) -> Iterator[bytes]:
        """The keys of the jobs' records."""
        return (each.key for each in self._subscriptions)

    def join(self, hub: ResponseHub) -> Self:
        """Begin to wait.

        :raises ReaderClosed: the hub's reader is closed: open another hub
        """
        hub.add(self._subscriptions)
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
        hub.remove(self._subscriptions)
        self._subscriptions = ()  # they refer to this: nothing is left to the garbage collector

    @property
    def live_since(self) -> float:
        """Since when the reader is live (seconds since 1970); infinite while it is not."""
        return self._joined().live_since

    async def next(self, deadline: float | None) -> JobNotice | None:
        """Wait for the next notice, or return None.

        The notices of one job come in order.

        :param deadline: seconds since 1970. Returns None then at the latest; may return it earlier,
            so that the caller looks again at a deadline that has moved
        """
        notice = self._pop()
        if notice is not None:
            return notice
        # Not in a coroutine of its own: it would take 250 bytes for each job that waits.
        self._future = asyncio.get_running_loop().create_future()
        self._joined().deadlines.set(self, deadline)
        try:
            await self._future
        finally:
            self._future = None
        return self._pop()

    def _pop(self) -> JobNotice | None:
        inbox = self._first
        if inbox is None:
            return None
        self._first, inbox.following = inbox.following, None
        if self._first is None:
            self._last = None
        notice = inbox.notices.pop(0)  # there are rarely two
        if inbox.notices:
            self.append(inbox)  # after the other jobs
        return inbox.job, notice

    def append(self, inbox: _JobInbox) -> None:
        """Let :meth:`next` take notices from this inbox, after those that are there already."""
        if self._last is None:
            self._first = inbox
        else:
            self._last.following = inbox
        self._last = inbox

    def wake(self) -> None:
        """Let :meth:`next` return."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _joined(self) -> ResponseHub:
        assert self._hub is not None  # noqa: S101  a programming error
        return self._hub


class _JobInbox:
    """The notices of one job that its waiter has not returned yet.

    The inboxes with notices are a linked list: it costs no object, and there are tens of thousands
    of waiters.
    """

    __slots__ = ("_waiter", "following", "job", "notices")

    def __init__(self, waiter: Waiter, job: str) -> None:
        self._waiter = waiter
        self.job = job
        self.notices: list[Notice] = _NONE
        self.following: _JobInbox | None = None

    def __call__(self, notice: Notice) -> None:
        """Add a notice."""
        if self.notices:
            add_pending(self.notices, notice)
        else:
            self.notices = [notice]
            self._waiter.append(self)
        self._waiter.wake()
