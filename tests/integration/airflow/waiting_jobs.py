"""Jobs that wait on a hub as triggers do, and what each receives."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from kafka_bridge.airflow.triggerer.hub import ResponseHub
from kafka_bridge.airflow.triggerer.reader_metrics import ReaderMetrics
from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.subscriptions import Arrival, Notice, Truncated
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState

from ..jobs import event


def new_jobs(count: int) -> list[str]:
    """Return ``count`` new correlation ids."""
    return [new_correlation_id() for _ in range(count)]


def answer(producer: RecordProducer, topic: str, jobs: Sequence[str]) -> None:
    """Publish the success of each job; return when the broker has acknowledged all."""
    sent = [producer.send(topic, job.encode(), encode(event(job)), []) for job in jobs]
    for each in sent:
        each.result()


@dataclass
class Waiting:
    """Some jobs that wait on one hub: how often each received its end, and what else arrived."""

    hub: ResponseHub
    ends: Counter[str] = field(default_factory=Counter)
    truncated: list[Truncated] = field(default_factory=list)
    unreadable: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def join(self, jobs: Sequence[str], starts: Sequence[int]) -> None:
        """Let jobs wait from these offsets on."""
        self.tasks += [asyncio.create_task(self._wait(job, starts)) for job in jobs]

    async def _wait(self, job: str, starts: Sequence[int]) -> None:
        with Waiter([job], starts).join(self.hub) as waiter:
            while True:
                received = await waiter.next(None)
                if received is not None and self._is_end(received[1]):
                    self.ends[job] += 1
                    return

    def _is_end(self, notice: Notice) -> bool:
        if isinstance(notice, Arrival):
            return notice.head.state is JobState.SUCCEEDED
        if isinstance(notice, Truncated):
            self.truncated.append(notice)
        elif isinstance(notice, RemoteProtocolError):
            self.unreadable += 1
        else:
            raise notice
        return False

    async def until_served(self, count: int) -> None:
        """Wait until the reader serves ``count`` jobs."""
        async with asyncio.timeout(60):
            while self.hub.reader.served < count:  # noqa: ASYNC110  the reader's thread changes it
                await asyncio.sleep(0.02)

    async def until_live(self, live: bool = True) -> None:
        """Wait until the reader is live, or no longer is."""
        async with asyncio.timeout(60):
            while self.hub.is_live is not live:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def all_ended(self, seconds: float = 60) -> None:
        """Wait for the end of every job."""
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self.tasks)


@contextlib.asynccontextmanager
async def waiting_on(config: KafkaConfig, topic: str) -> AsyncIterator[Waiting]:
    """Give a hub of a topic's reader; it ends with the block."""
    hub = ResponseHub(config, topic, ReaderMetrics(topic))
    waiting = Waiting(hub)
    try:
        yield waiting
    finally:
        for task in waiting.tasks:
            task.cancel()
        await asyncio.to_thread(hub.close)
