"""A job request, and a job run without Kafka: what is published is collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobRequest, StatusEvent, utc_now
from kafka_bridge.testing.jobs import CollectedEvents, do_job
from kafka_bridge.worker import Worker
from kafka_bridge.worker.handlers import Handler

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
JSON = "application/json"


def request(payload: bytes | None = None, media_type: str = JSON, **fields: Any) -> JobRequest:
    """Return a request for ``a.job``."""
    return JobRequest(
        correlation_id=JOB,
        job_type="a.job",
        payload=payload,
        payload_type=None if payload is None else media_type,
        response_topic="answers",
        created_at=utc_now(),
        **fields,
    )


class Collector(CollectedEvents):
    """Takes events as they come. ``refuse`` says which sends fail, and how."""

    def __init__(self, refuse: Callable[[StatusEvent], Exception | None] = lambda _: None) -> None:
        super().__init__()
        self._refuse = refuse

    def deliver(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        delivered: Callable[[Exception | None], None],
    ) -> None:
        """Take a status event, or refuse it."""
        error = self._refuse(decode(StatusEvent, value))
        if error is None:
            super().deliver(topic, key, value, headers, delivered)
        else:
            delivered(error)


def worker_with(handler: Handler | None) -> Worker:
    """Return a worker that has no other handler."""
    worker = Worker("g", worker_id="w-1")
    if handler is not None:
        worker.handlers[handler.job_type] = handler
    return worker


def run_job(
    handler: Handler | None,
    job: JobRequest | None = None,
    collector: Collector | None = None,
    **options: Any,
) -> list[StatusEvent]:
    """Run a job and return the events that it published."""
    collector = collector or Collector()
    error = do_job(worker_with(handler), job or request(), collector, **options)
    if error is not None:
        raise error
    return collector.events
