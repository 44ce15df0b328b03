"""A worker at work: the one thread that polls, and the threads that do the jobs.

The polling thread never waits for a job, so that ``max.poll.interval.ms`` is never missed however
long a job takes; when enough requests wait, it pauses its partitions and polls on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from kafka_bridge.kafka.consumer import START_SECONDS, RequestConsumer
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import detect
from kafka_bridge.protocol.errors import KafkaError, RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.dead_letters import DeadLetters
from kafka_bridge.worker.heartbeats import Heartbeats
from kafka_bridge.worker.job_run import JobRun
from kafka_bridge.worker.positions import PartitionPositions
from kafka_bridge.worker.reporter import JobReporter

if TYPE_CHECKING:
    from kafka_bridge.worker.worker import Worker

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
COMMIT_SECONDS = 0.5
BACKLOG_RECORDS = 200
"""How many requests wait in the process. Others cannot have them anyway while it has their
partitions, and they go back, uncommitted, with those."""
LOOP_STOP_SECONDS = 1.0


class Service:
    """Runs a worker once, from joining its group to leaving it."""

    def __init__(self, worker: Worker, on_ready: Callable[[], None] | None) -> None:
        self._worker = worker
        self._on_ready = on_ready
        self._stopping = threading.Event()
        self._slot_freed = threading.Event()
        self._running = 0
        self._backlog: deque[tuple[PartitionPositions, Record]] = deque()
        self._enough = False
        self._positions: dict[int, PartitionPositions] = {}
        self._lock = threading.Lock()  # guards _positions and _running
        self._next_commit = 0.0

    def run(self) -> None:
        """Work until told to stop.

        :raises KafkaError: Kafka cannot be used, and waiting would not help
        """
        config = self._worker.kafka_config()
        end_offsets(config, [self._worker.dead_letter_topic], START_SECONDS)
        with (
            _stop_on_signals(self._stopping),
            contextlib.closing(Heartbeats()) as self._heartbeats,
            RecordProducer(config) as self._producer,
            _event_loop() as self._loop,
        ):
            self._dead_letters = DeadLetters(
                self._producer, self._worker.dead_letter_topic, self._worker.worker_id
            )
            self._consumer = RequestConsumer(
                config,
                self._worker.request_topic,
                self._worker.group_id,
                assigned=self._assigned,
                revoked=self._revoked,
            )
            try:
                self._take_jobs()
                self._finish_jobs()
            finally:
                self._consumer.close()

    def _take_jobs(self) -> None:
        while not self._stopping.is_set():
            self._consumer.hold(held=self._has_enough())
            record = self._consumer.poll(0 if self._backlog else POLL_SECONDS)
            if record is not None:
                self._receive(record)
            self._start_waiting()
            self._commit()
            if record is None and self._backlog:
                self._slot_freed.wait(POLL_SECONDS)

    def _has_enough(self) -> bool:
        """Tell whether to fetch no more: a pause costs as much as reading hundreds of requests."""
        limit = BACKLOG_RECORDS // 2 if self._enough else BACKLOG_RECORDS
        self._enough = len(self._backlog) >= limit
        return self._enough

    def _start_waiting(self) -> None:
        """Start jobs that wait here, as many as there are free slots."""
        self._slot_freed.clear()
        while self._backlog and self._running < self._worker.concurrency:
            self._take(*self._backlog.popleft())

    def _finish_jobs(self) -> None:
        """Stay in the group, taking nothing new, until all jobs end or the grace is over."""
        self._backlog.clear()  # uncommitted: others will do these
        give_up = time.monotonic() + self._worker.grace
        if self._running:
            _log.info("Stopping: %d jobs get %g s to finish", self._running, self._worker.grace)
        while self._running and time.monotonic() < give_up:
            self._consumer.hold(held=True)
            self._consumer.poll(0)
            self._slot_freed.wait(POLL_SECONDS)
            self._slot_freed.clear()
        if self._running:
            _log.warning("Stopped with %d jobs unfinished: others will do them", self._running)
        self._consumer.commit(self._reached(list(self._positions)), wait=True)

    # Partitions come and go, within poll() and close().

    def _assigned(self, partitions: Iterable[int]) -> None:
        with self._lock:
            for partition in partitions:
                self._positions[partition] = PartitionPositions()
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    def _revoked(self, partitions: Iterable[int]) -> None:
        partitions = list(partitions)
        self._consumer.commit(self._reached(partitions), wait=True)
        with self._lock:
            for partition in partitions:
                self._positions.pop(partition, None)
        kept = [each for each in self._backlog if each[1].location.partition in self._positions]
        self._backlog = deque(kept)

    def _commit(self) -> None:
        if time.monotonic() >= self._next_commit:
            self._next_commit = time.monotonic() + COMMIT_SECONDS
            with self._lock:
                moved = {number: each.to_commit() for number, each in self._positions.items()}
            self._consumer.commit({n: at for n, at in moved.items() if at is not None})

    def _reached(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the positions of these partitions, committed before or not."""
        with self._lock:
            known = {n: self._positions[n].position for n in partitions if n in self._positions}
        return {number: at for number, at in known.items() if at is not None}

    # One record.

    def _receive(self, record: Record) -> None:
        with self._lock:
            positions = self._positions[record.location.partition]
            positions.take(record.location.offset)
        self._backlog.append((positions, record))

    def _take(self, positions: PartitionPositions, record: Record) -> None:
        if record.value is None:  # a tombstone asks for nothing
            self._done(positions, record)
            return
        try:
            request = record.decode(JobRequest)
        except RemoteProtocolError as error:
            self._dead_letters.tell_sender(record, error)
            self._set_aside(positions, record, error)
            return
        self._start(positions, record, request)

    def _start(self, positions: PartitionPositions, record: Record, request: JobRequest) -> None:
        reporter = JobReporter(
            self._producer, request, detect(record.value), self._worker.worker_id
        )
        handler = self._worker.handlers.get(request.job_type)
        job = JobRun(request, handler, reporter, self._heartbeats, self._loop)
        with self._lock:
            self._running += 1
        # Daemon threads: a handler that never returns must not keep the process alive.
        threading.Thread(
            target=self._run_job,
            args=(positions, record, job),
            name=f"job-{request.correlation_id[:8]}",
            daemon=True,
        ).start()

    def _run_job(self, positions: PartitionPositions, record: Record, job: JobRun) -> None:
        try:
            job.run()
        except KafkaError as error:
            self._set_aside(positions, record, error)
        except Exception:
            _log.exception("Job %s is left to another delivery", job.request.correlation_id)
        else:
            self._done(positions, record)
        finally:
            with self._lock:
                self._running -= 1
            self._slot_freed.set()

    def _set_aside(self, positions: PartitionPositions, record: Record, error: Exception) -> None:
        def acknowledged(sent: Future[RecordLocation]) -> None:
            if sent.exception() is None:
                self._done(positions, record)
            else:
                _log.error("Request %s is kept uncommitted: %s", record.location, sent.exception())

        self._dead_letters.set_aside(record, error).add_done_callback(acknowledged)

    def _done(self, positions: PartitionPositions, record: Record) -> None:
        with self._lock:
            positions.finish(record.location.offset)


@contextlib.contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop on a thread of its own, for handlers that are coroutines."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="kafka-bridge-async", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LOOP_STOP_SECONDS)
        if not thread.is_alive():  # else a handler blocks it, and that must not hold up the end
            loop.close()


@contextlib.contextmanager
def _stop_on_signals(stopping: threading.Event) -> Iterator[None]:
    """Set the event on the first SIGTERM or SIGINT and end the process on the second.

    Only the main thread can have signal handlers; on another one the block does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
