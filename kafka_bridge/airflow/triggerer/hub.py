"""The event loop's side of a response reader: who waits, and how its notices reach them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from kafka_bridge.airflow.triggerer.deadlines import Deadlines
from kafka_bridge.airflow.triggerer.reader_metrics import ReaderMetrics
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.asyncio_delivery import AsyncioDelivery
from kafka_bridge.kafka.responses.event_readers import HeadReader, event_head
from kafka_bridge.kafka.responses.reader import LINGER_SECONDS, ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Notice, Subscription, add_pending

WATCH_SECONDS = 1.0
"""How often a hub looks whether its reader hears, and reports its metrics."""


class Waiter:
    """One waiting job's side of a hub: what it is told, and until when it waits.

    There are tens of thousands of them, so each has few objects of its own. The ``with`` block ends
    the wait.
    """

    __slots__ = ("_future", "_hub", "_notices", "_subscription", "deadline")

    def __init__(
        self,
        hub: ResponseHub,
        correlation_id: str,
        start_offsets: Sequence[int],
        read_head: HeadReader,
    ) -> None:
        self.deadline: float | None = None
        self._hub = hub
        self._future: asyncio.Future[None] | None = None
        self._notices: list[Notice] | None = None
        self._subscription: Subscription | None = hub.reader.subscribe(
            correlation_id, start_offsets, self.notify, read_head=read_head
        )
        hub.waited_for.add(self._subscription.key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hub.deadlines.remove(self)
        if self._subscription is not None:
            self._hub.reader.unsubscribe(self._subscription)
            self._hub.waited_for.discard(self._subscription.key)
            self._subscription = None  # it refers to this: nothing is left to the garbage collector

    @property
    def live_since(self) -> float:
        """Since when the reader hears all that is said (seconds since 1970); infinite: not now."""
        return self._hub.live_since

    async def next(self, deadline: float | None) -> Notice | None:
        """Wait for the next notice, or return None.

        :param deadline: seconds since 1970. None comes then at the latest; it may come earlier, so
            that a deadline which has moved can be looked at again
        """
        if not self._notices:
            self._future = asyncio.get_running_loop().create_future()
            self._hub.deadlines.set(self, deadline)
            try:
                await self._future
            finally:
                self._future = None
        return self._notices.pop(0) if self._notices else None  # there are rarely two

    def notify(self, notice: Notice) -> None:
        """Take a notice in."""
        if self._notices is None:
            self._notices = []
        add_pending(self._notices, notice)
        self.wake()

    def wake(self) -> None:
        """Let :meth:`next` return."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class ResponseHub:
    """Brings what a reader hears to those who wait on one event loop. Lives as long as the reader.

    :param linger: seconds that the reader stays open without a waiting job
    """

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        metrics: ReaderMetrics,
        *,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self.live_since = math.inf
        self.deadlines = Deadlines()
        self.waited_for: set[bytes] = set()
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self.reader = ResponseReader(config, topic, AsyncioDelivery().hand_over, linger=linger)
        self._loop.call_later(WATCH_SECONDS, self._look)

    @property
    def is_live(self) -> bool:
        """Whether the reader hears all that is said."""
        return self.reader.health.is_live

    def waits_for(self, correlation_id: str) -> bool:
        """Tell whether somebody waits for this job here: a reader tells one waiter of each."""
        return correlation_id.encode() in self.waited_for

    def close(self) -> None:
        """End the reader; jobs that still wait are told so. Blocks for a moment."""
        self.reader.close()

    def wait_for(
        self,
        correlation_id: str,
        start_offsets: Sequence[int],
        *,
        read_head: HeadReader = event_head,
    ) -> Waiter:
        """Begin to wait for a job, until the end of the ``with`` block that the waiter is used in.

        :raises ReaderClosed: the reader has ended; open another hub
        """
        return Waiter(self, correlation_id, start_offsets, read_head)

    def _look(self) -> None:
        """Follow whether the reader hears, and report."""
        if self.reader.is_open:  # first: where a metric cannot be reported, time-outs still count
            self._loop.call_later(WATCH_SECONDS, self._look)
        if not self.is_live:
            self.live_since = math.inf
        elif self.live_since == math.inf:
            self.live_since = time.time()
        self._metrics.report(self.reader)
