"""The two sides of the waiting rows: jobs at our hub, and futures on a raw consumer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

from bench.traffic import raw_consumer
from kafka_bridge.airflow.triggerer.hub import ResponseHub
from kafka_bridge.airflow.triggerer.reader_metrics import ReaderMetrics
from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.messages import JobState


class OurSide:
    """Jobs that wait as triggers do.

    A caller that measures creates ``metrics`` before: triggers create them on another thread.
    """

    def __init__(self, servers: str, topic: str, metrics: ReaderMetrics | None = None) -> None:
        self.hub = ResponseHub(
            KafkaConfig({"bootstrap.servers": servers}),
            topic,
            metrics or ReaderMetrics(topic),
            linger=3600,
        )

    async def wait(self, job: str, starts: Sequence[int]) -> None:
        """Wait for a job's terminal event."""
        await self._end_of(job, starts)

    async def wait_for_time(self, job: str, starts: Sequence[int]) -> float:
        """Wait for a job's terminal event; return its time in seconds since 1970."""
        return (await self._end_of(job, starts)).event().occurred_at.timestamp()

    async def _end_of(self, job: str, starts: Sequence[int]) -> Arrival:
        with Waiter([job], starts).join(self.hub) as waiter:
            while True:
                received = await waiter.next(None)
                notice = None if received is None else received[1]
                if isinstance(notice, Arrival) and notice.head.state is JobState.SUCCEEDED:
                    return notice
                if isinstance(notice, Exception):
                    raise notice

    async def ready(self, jobs: int) -> None:
        """Return when ``jobs`` jobs wait and the reader is live."""
        while self.hub.reader.served < jobs or not self.hub.is_live:  # noqa: ASYNC110  a thread changes it
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Stop reading."""
        await asyncio.to_thread(self.hub.close)


class RawSide:
    """The minimum of any implementation: a consumer, a dictionary, and a future for each job."""

    def __init__(self, servers: str, topic: str, starts: Sequence[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._futures: dict[bytes | None, asyncio.Future[None]] = {}
        self._consumer = raw_consumer(servers, topic, starts)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.records = 0

    def start(self) -> None:
        """Start to read."""
        self._thread.start()

    async def wait(self, job: str, _: Sequence[int] = ()) -> None:
        """Wait for a job's terminal event."""
        future = self._futures[job.encode()] = self._loop.create_future()
        await future

    def _read(self) -> None:
        futures = self._futures
        while not self._stopping.is_set():
            first = self._consumer.poll(0.05)
            if first is None:
                continue
            batch = [first, *self._consumer.consume(999, 0)]
            self.records += len(batch)
            found = [future for each in batch if (future := futures.get(each.key())) is not None]
            if found:
                self._loop.call_soon_threadsafe(_wake, found)

    async def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)
        self._consumer.close()


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


async def waiting(
    wait: Callable[[str, Sequence[int]], Awaitable[None]],
    jobs: Sequence[str],
    starts: Sequence[int],
) -> list[asyncio.Task[None]]:
    """Return a task for each job; all of them already wait."""

    async def one(job: str) -> None:
        await wait(job, starts)

    tasks = [asyncio.create_task(one(job)) for job in jobs]
    await asyncio.sleep(0)
    return tasks
