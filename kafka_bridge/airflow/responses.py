"""What the triggers of a process share: one response reader for each connection and topic."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeAlias

from kafka_bridge.airflow.connections import kafka_config
from kafka_bridge.airflow.deadlines import Deadlines
from kafka_bridge.airflow.metrics import ReaderMetrics
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.notices import Delivery, Notice, Subscription
from kafka_bridge.kafka.reader import LINGER_SECONDS, ResponseReader
from kafka_bridge.protocol.errors import ReaderClosed

NOTICES_AT_ONCE = 250
"""How many notices one callback of the loop passes on: some milliseconds' worth."""
WATCH_SECONDS = 1.0
"""How often a hub looks whether its reader hears, and reports its metrics."""

_Key: TypeAlias = tuple[asyncio.AbstractEventLoop, str, str, int]
"""Loop, connection, topic, and 0; more than that where many wait for one and the same job."""


class Waiter:
    """One waiting job's side of a hub: what it is told, and until when it waits."""

    __slots__ = ("_future", "_hub", "_notices", "deadline")

    def __init__(self, hub: ResponseHub) -> None:
        self.deadline: float | None = None
        self._hub = hub
        self._notices: deque[Notice] = deque()
        self._future: asyncio.Future[None] | None = None

    @property
    def hearing_since(self) -> float:
        """Since when the reader hears all that is said (seconds since 1970); infinite: not now."""
        return self._hub.hearing_since

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
        return self._notices.popleft() if self._notices else None

    def notify(self, notice: Notice) -> None:
        """Take a notice in."""
        self._notices.append(notice)
        self.wake()

    def wake(self) -> None:
        """Let :meth:`next` return."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class ResponseHub:
    """The event loop's side of one response reader. Lives as long as the reader."""

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        metrics: ReaderMetrics,
        *,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self.hearing_since = math.inf
        self.deadlines = Deadlines()
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[tuple[Subscription, Notice]] = deque()
        self._metrics = metrics
        self._waited_for: set[str] = set()
        self._reader = ResponseReader(config, topic, self._hand_over, linger=linger)
        self._loop.call_later(WATCH_SECONDS, self._look)

    @property
    def served(self) -> int:
        """How many jobs the reader serves."""
        return self._reader.served

    @property
    def records_read(self) -> int:
        """How many records the reader has read, foreign ones and repeats included."""
        return self._reader.counts.records

    @property
    def hears(self) -> bool:
        """Whether the reader hears all that is said."""
        return self._reader.hearing.clear

    def waits_for(self, correlation_id: str) -> bool:
        """Tell whether somebody waits for this job here: nobody else can."""
        return correlation_id in self._waited_for

    def close(self) -> None:
        """End the reader; jobs that still wait are told so. Blocks for a moment."""
        self._reader.close()

    @contextlib.contextmanager
    def wait_for(self, correlation_id: str, start_offsets: Sequence[int]) -> Iterator[Waiter]:
        """Inside the block, wait for a job.

        :raises ReaderClosed: the reader has ended; open another hub
        """
        waiter = Waiter(self)
        subscription = self._reader.subscribe(correlation_id, start_offsets, waiter.notify)
        self._waited_for.add(correlation_id)
        try:
            yield waiter
        finally:
            self._waited_for.discard(correlation_id)
            self.deadlines.remove(waiter)
            self._reader.unsubscribe(subscription)

    def _hand_over(self, delivery: Delivery) -> None:
        """Bring a batch to the loop; called on the reader's thread."""
        self._arrived.extend(delivery)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._notify)

    def _notify(self) -> None:
        """Tell the waiting jobs, some at a time: others use the loop, too."""
        for _ in range(min(NOTICES_AT_ONCE, len(self._arrived))):
            subscription, notice = self._arrived.popleft()
            subscription.notify(notice)
        if self._arrived:
            self._loop.call_soon(self._notify)

    def _look(self) -> None:
        """Follow whether the reader hears, and report."""
        if not self.hears:
            self.hearing_since = math.inf
        elif self.hearing_since == math.inf:
            self.hearing_since = time.time()
        self._metrics.report(self._reader)
        if self._reader.is_open:
            self._loop.call_later(WATCH_SECONDS, self._look)


_hubs: dict[_Key, ResponseHub] = {}
_opening: defaultdict[_Key, asyncio.Lock] = defaultdict(asyncio.Lock)


@contextlib.asynccontextmanager
async def waiting_for(
    correlation_id: str, kafka_config_id: str, topic: str, start_offsets: Sequence[int]
) -> AsyncIterator[Waiter]:
    """Inside the block, wait for a job on the process's reader of that connection and topic.

    A reader tells one waiter of each job. Who is the second to wait for the same one, two sensors
    with one handle for example, waits on a reader of its own.

    :param start_offsets: by partition, the first offset that can concern the job
    :raises ConfigurationError: the connection cannot be used
    """
    loop, copy = asyncio.get_running_loop(), 0
    async with contextlib.AsyncExitStack() as stack:
        while True:
            key = (loop, kafka_config_id, topic, copy)
            hub = _hubs.get(key) or await _open(key)
            if hub.waits_for(correlation_id):
                copy += 1
                continue
            try:
                waiter = stack.enter_context(hub.wait_for(correlation_id, start_offsets))
                break
            except ReaderClosed:
                if _hubs.get(key) is hub:
                    del _hubs[key]
        yield waiter


async def _open(key: _Key) -> ResponseHub:
    async with _opening[key]:
        if key not in _hubs:
            _, kafka_config_id, topic, _ = key
            # Looked up once for each reader, and on a thread: the provider's hook blocks.
            config = await asyncio.to_thread(kafka_config, kafka_config_id)
            _hubs[key] = ResponseHub(config, topic, ReaderMetrics(topic))
        return _hubs[key]
