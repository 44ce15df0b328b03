"""A job request, and a job run without Kafka: what is published is collected."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.messages import JobRequest, StatusEvent, utc_now
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.heartbeats import Heartbeats
from kafka_bridge.worker.job_run import JobRun
from kafka_bridge.worker.reporter import JobReporter

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


@dataclass
class Collector:
    """A producer that keeps what it is given. ``refuse`` says which sends fail, and how."""

    refuse: Callable[[StatusEvent], Exception | None] = lambda _: None
    events: list[StatusEvent] = field(default_factory=list)
    refused: list[StatusEvent] = field(default_factory=list)

    def send(
        self, topic: str, _key: bytes, value: bytes, _headers: object
    ) -> Future[RecordLocation]:
        """Take a status event, or refuse it."""
        event = decode(StatusEvent, value)
        outcome: Future[RecordLocation] = Future()
        error = self.refuse(event)
        if error is None:
            self.events.append(event)
            outcome.set_result(RecordLocation(topic, 0, len(self.events)))
        else:
            self.refused.append(event)
            outcome.set_exception(error)
        return outcome

    def reporter(self, job: JobRequest) -> JobReporter:
        """Return what publishes a job's events here."""
        return JobReporter(cast(RecordProducer, self), job, Encoding.AVRO, "w-1")


def run_job(
    handler: Handler | None, job: JobRequest | None = None, collector: Collector | None = None
) -> list[StatusEvent]:
    """Run a job on this thread and return the events that it published."""
    job = job or request()
    collector = collector or Collector()
    heartbeats = Heartbeats()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        JobRun(job, handler, collector.reporter(job), heartbeats, loop).run()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        heartbeats.close()
    return collector.events
