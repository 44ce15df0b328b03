"""A process that answers jobs without any work: the minimum that the protocol requires.

A job of the type :data:`SLEEPS` is answered after as many seconds as its payload says.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

import confluent_kafka as ck

from bench.traffic import ends_of, producer, raw_consumer
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.ids import new_event_id
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now

SLEEPS = "bench.sleeps"


@contextlib.contextmanager
def responder(servers: str, topic: str) -> Iterator[None]:
    """Inside the block, answer each request with one event: SUCCEEDED with its payload."""
    context = multiprocessing.get_context("spawn")
    ready, stopping = context.Event(), context.Event()
    process = context.Process(target=_serve, args=(servers, topic, ready, stopping), daemon=True)
    process.start()
    try:
        if not ready.wait(30):
            raise RuntimeError("the responder is not ready")
        yield
    finally:
        stopping.set()
        process.join(30)


def _serve(servers: str, topic: str, ready: Event, stopping: Event) -> None:
    consumer, sender = raw_consumer(servers, topic, ends_of(servers, topic)), producer(servers)
    consumer.poll(1)  # after this, it fetches
    ready.set()
    sleeping: list[tuple[float, int, JobRequest]] = []  # until when, and which one came first
    numbers = itertools.count()
    while not stopping.is_set():
        first = consumer.poll(0.01 if sleeping else 0.05)
        for message in [] if first is None else [first, *consumer.consume(999, 0)]:
            request = decode(JobRequest, message.value())
            if request.job_type == SLEEPS:
                until = time.monotonic() + json.loads(request.payload or b"0")
                heapq.heappush(sleeping, (until, next(numbers), request))
            else:
                _reply(sender, request)
        while sleeping and sleeping[0][0] <= time.monotonic():
            _reply(sender, heapq.heappop(sleeping)[-1])
        sender.poll(0)
    sender.flush()
    consumer.close()


def _reply(sender: ck.Producer, request: JobRequest) -> None:
    reply = encode(_reply_to(request))
    sender.produce(request.response_topic, reply, key=request.correlation_id)


def _reply_to(request: JobRequest) -> StatusEvent:
    return StatusEvent(
        correlation_id=request.correlation_id,
        event_id=new_event_id(),
        sequence=0,
        state=JobState.SUCCEEDED,
        occurred_at=utc_now(),
        worker_id="bench-responder-1",
        result=request.payload,
        result_type=request.payload_type,
    )
