"""Clients that open for one record: a response reader, a late job, and the look-up of a result.

*First notice*: the record is already in the topic. The time is from the creation of the reader
until the waiting job has its event. The peer is a raw consumer that knows the partitions: it
assigns them and polls.

*Late job*: the reader is open and quiet, and its positions are after the record. The job waits from
before it, so the reader goes back.

*One record by its place*: what a resumed task does for its result.

Each round's value is the median of several clients, opened one after another.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import confluent_kafka as ck

from bench.measure import Result, Round, Scale, Target
from bench.traffic import ends_of, job_ids, new_topic, producer, raw_consumer, reply_to
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import read_record
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Arrival, Delivery, Notice
from kafka_bridge.protocol.errors import RecordLocation

CLIENTS = 50
WAIT_SECONDS = 30.0
QUIET_SECONDS = 0.3
RAW = "a raw consumer: assign() and poll() of the same record"


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the three rows."""
    rows = [
        Result(name, RAW, "ms", Target("<=", 100, "ms"), figure=lambda each: each.ours)
        for name in (
            "opening a response reader until its first notice; the record is already there",
            "a late job at a quiet response reader until its notice",
            "one record by its place, as a resumed task reads its result",
        )
    ]
    for number in range(scale.rounds()):
        say(f"opening, round {number + 1}")
        with new_topic(servers) as topic:
            bench = _Bench(servers, topic)
            raw = _median(bench.raw, scale.size(CLIENTS))
            for row, ours in zip(rows, (bench.reader, bench.late, bench.record), strict=True):
                row.rounds.append(Round(_median(ours, scale.size(CLIENTS)), raw))
    return rows


def _median(measure: Callable[[], float], count: int) -> float:
    return 1000 * statistics.median(measure() for _ in range(count))


class _Bench:
    """A topic with one record, and the ways to read it. Each way returns its seconds."""

    def __init__(self, servers: str, topic: str) -> None:
        self._servers, self._topic = servers, topic
        self._config = KafkaConfig({"bootstrap.servers": servers})
        self._sender = producer(servers)
        self._starts = ends_of(servers, topic)
        (self._job,) = job_ids(1)
        self._publish(self._job)
        ends = ends_of(servers, topic)
        partition = next(number for number, end in enumerate(ends) if end)
        self._location = RecordLocation(topic, partition, 0)

    def _publish(self, job: str) -> None:
        self._sender.produce(self._topic, reply_to(job), key=job)
        self._sender.flush()

    def raw(self) -> float:
        """Poll the record with a raw consumer."""
        begin = time.perf_counter()
        consumer = raw_consumer(self._servers, self._topic, self._starts)
        while not _is_record(consumer.poll(WAIT_SECONDS)):
            pass
        took = time.perf_counter() - begin
        consumer.close()
        return took

    def reader(self) -> float:
        """Open a reader for the job of the record."""
        begin = time.perf_counter()
        reader = ResponseReader(self._config, self._topic, _hand_over)
        self._event(reader, self._job, self._starts)
        took = time.perf_counter() - begin
        reader.close()
        return took

    def late(self) -> float:
        """Let the job of the record join a reader that is past it."""
        (job,) = job_ids(1)
        reader = ResponseReader(self._config, self._topic, _hand_over)
        ends = ends_of(self._servers, self._topic)
        self._publish(job)
        self._event(reader, job, ends)
        time.sleep(QUIET_SECONDS)
        begin = time.perf_counter()
        self._event(reader, self._job, self._starts)
        took = time.perf_counter() - begin
        reader.close()
        return took

    def record(self) -> float:
        """Read the record by its place."""
        begin = time.perf_counter()
        read_record(self._config, self._location, WAIT_SECONDS)
        return time.perf_counter() - begin

    def _event(self, reader: ResponseReader, job: str, starts: Sequence[int]) -> None:
        told: SimpleQueue[Notice] = SimpleQueue()
        reader.subscribe(job, starts, told.put)
        notice = told.get(timeout=WAIT_SECONDS)
        if not isinstance(notice, Arrival):
            raise TypeError(f"a waiting job was told {notice!r}")


def _hand_over(delivery: Delivery) -> None:
    for subscription, notice in delivery:
        subscription.notify(notice)


def _is_record(message: ck.Message | None) -> bool:
    return message is not None and message.error() is None
