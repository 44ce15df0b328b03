"""A job that a gateway's handler runs as a task of the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kafka_bridge.gateway.outbound import GatewayHandler
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobRequest, Progress, utc_now
from kafka_bridge.testing.jobs import CollectedEvents
from kafka_bridge.worker import JobContext, JobStopped, StopReason
from kafka_bridge.worker.cancellation import StopSignal
from kafka_bridge.worker.runtime.reporter import JobReporter

JOB = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"


class StartedJob:
    """A running job of type ``work``, which a test stops as a worker would.

    :ivar task: returns the job's result
    """

    def __init__(self, handler: GatewayHandler, payload: Any = None, delivery: int = 1) -> None:
        self.request = JobRequest(
            correlation_id=JOB, job_type="work", response_topic="responses", created_at=utc_now()
        )
        self._collected = CollectedEvents()
        reporter = JobReporter(
            self._collected, self.request, Encoding.AVRO, "w-1", lambda: True, delivery=delivery
        )
        reporter.accepted(lambda _: None)
        self._stop = StopSignal()
        context = JobContext(self.request, reporter, self._stop)
        self.task = asyncio.create_task(handler.handle(context, payload))

    @property
    def messages(self) -> list[str]:
        """The messages that were published."""
        return [event.message for event in self._collected.events if event.message]

    @property
    def progress(self) -> list[Progress]:
        """The progress that was published."""
        return [event.progress for event in self._collected.events if event.progress]

    async def has_published(self, *, messages: int = 0, progress: int = 0) -> None:
        """Wait until so many events with a message, or with progress, are published."""
        await until(lambda: len(self.messages) >= messages and len(self.progress) >= progress)

    def stop(self, reason: StopReason = StopReason.CANCELLED) -> None:
        """Tell the job to stop."""
        self.tell(reason)
        self.task.cancel()

    def tell(self, reason: StopReason = StopReason.CANCELLED) -> None:
        """Set the reason to stop, but do not cancel the task."""
        self._stop.set(reason, "the test stopped it")

    async def stopped(self, reason: StopReason = StopReason.CANCELLED) -> str:
        """Stop the job; return the message with which its handler confirms that."""
        self.stop(reason)
        return await self.confirmed(reason)

    async def confirmed(self, reason: StopReason = StopReason.CANCELLED) -> str:
        """Return the message with which the handler confirms that the job has stopped."""
        with pytest.raises(JobStopped) as stopped:
            await self.task
        assert stopped.value.reason is reason
        return str(stopped.value)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, while the event loop runs."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  other threads and processes change it
            await asyncio.sleep(0.005)
