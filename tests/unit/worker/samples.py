"""Job requests, jobs in flight, and a job run without Kafka: what is published is collected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobRequest, StatusEvent, utc_now
from kafka_bridge.testing.jobs import CollectedEvents, do_job
from kafka_bridge.worker import Worker
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.in_flight import InFlightJob, Phase
from kafka_bridge.worker.runtime.job_run import run
from kafka_bridge.worker.runtime.membership import Membership, Ownership
from kafka_bridge.worker.runtime.partition import Partition
from kafka_bridge.worker.runtime.publishing import Publishing
from kafka_bridge.worker.runtime.reporter import Settled
from kafka_bridge.worker.runtime.surroundings import Surroundings

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


def queued_job(
    job: JobRequest | None = None,
    offset: int = 0,
    partition: Partition | None = None,
    may_publish: Callable[[], bool] = lambda: True,
    **fields: Any,
) -> InFlightJob:
    """Return a job that was consumed from an offset."""
    received: Any = SimpleNamespace(offset=offset, headers=(), record=offset)
    membership = Membership(30.0)
    membership.may_publish = may_publish  # type: ignore[method-assign]
    return InFlightJob(
        partition or Partition(0, 1),
        received,
        job or request(),
        Encoding.AVRO,
        Ownership(membership),
        **fields,
    )


def accepted_job(
    function: Callable[..., Any],
    sender: CollectedEvents,
    job: JobRequest | None = None,
    *,
    settled: Settled = lambda _: None,
    may_publish: Callable[[], bool] = lambda: True,
) -> InFlightJob:
    """Return a job that is accepted and READY, with a function as its handler."""
    accepted = queued_job(job, may_publish=may_publish)
    reporter = Publishing(sender, "w-1").reporter(accepted, 1)
    handler = Handler.of("a.job", function)
    accepted.accept(handler, reporter, Observer(), lambda _, error: settled(error))
    reporter.accepted(lambda _: None)
    accepted.enter(Phase.READY)
    return accepted


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


NO_LOOP = asyncio.new_event_loop()


def run_here(job: InFlightJob) -> None:
    """Run a job without coroutines on this thread, from READY to ENDING."""
    run(job, Surroundings(NO_LOOP))
