"""Topics and records for the measurements."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing.synchronize import Event

import confluent_kafka as ck

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.ids import new_correlation_id, new_event_id
from kafka_bridge.protocol.messages import JobState, StatusEvent, utc_now
from kafka_bridge.testing.brokers import topics

PARTITIONS = 4
SEED = 20261123
QUEUE_BACKOFF_MS = KafkaConfig({"bootstrap.servers": "-"}).reader("peer")["fetch.queue.backoff.ms"]
"""How long a consumer with a full local queue waits before it fetches again: as in our reader."""


@contextlib.contextmanager
def new_topic(
    servers: str, partitions: int = PARTITIONS, config: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Give the name of a topic that exists inside the block."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    topics.create(servers, name, partitions, config or {})
    try:
        yield name
    finally:
        topics.delete(servers, [name])


def ends_of(servers: str, topic: str) -> list[int]:
    """Return the end offset of each partition."""
    return end_offsets(KafkaConfig({"bootstrap.servers": servers}), [topic], 10)[topic]


def job_ids(count: int) -> list[str]:
    """Return ``count`` new correlation ids."""
    return [new_correlation_id() for _ in range(count)]


def reply_to(job: str) -> bytes:
    """Return a job's terminal event as real workers write it: about 150 bytes."""
    return encode(
        StatusEvent(
            correlation_id=job,
            event_id=new_event_id(),
            sequence=3,
            state=JobState.SUCCEEDED,
            occurred_at=utc_now(),
            worker_id="bench-worker-1",
            result=b'{"files": 1418, "bytes": 26494246}',
            result_type="application/json",
        )
    )


def shuffled(jobs: Sequence[str], foreign: int = 0) -> list[tuple[bytes, bytes]]:
    """Return a reply to each job, and ``foreign`` replies to others, in a fixed random order."""
    records = [(job.encode(), reply_to(job)) for job in jobs]
    if foreign:
        value = reply_to(new_correlation_id())
        records += [(uuid.uuid4().hex.ljust(36, "0").encode(), value) for _ in range(foreign)]
    random.Random(SEED).shuffle(records)  # noqa: S311  no secret
    return records


def producer(servers: str) -> ck.Producer:
    """Return a producer that partitions as workers do."""
    return ck.Producer(
        {
            "bootstrap.servers": servers,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1_048_576,
        }
    )


def publish(to: ck.Producer, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Send records, and wait until the broker has all of them."""
    for key, value in records:
        to.produce(topic, value, key=key)
    to.flush()


class Publisher:
    """A process that publishes records on a signal, so that the publish is not measured."""

    def __init__(self, servers: str, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
        context = multiprocessing.get_context("spawn")
        self._go, self._ready = context.Event(), context.Event()
        self._process = context.Process(
            target=_publish_on, args=(servers, topic, records, self._ready, self._go), daemon=True
        )
        self._process.start()
        self._ready.wait(30)

    def go(self) -> None:
        """Publish now."""
        self._go.set()

    def close(self) -> None:
        """Wait until the process has exited."""
        self._process.join(60)


def _publish_on(
    servers: str,
    topic: str,
    records: Sequence[tuple[bytes, bytes]],
    ready: Event,
    go: Event,
) -> None:
    sender = producer(servers)
    sender.list_topics(topic, timeout=10)
    ready.set()
    go.wait(60)
    publish(sender, topic, records)


def raw_consumer(servers: str, topic: str, starts: Sequence[int]) -> ck.Consumer:
    """Return a consumer that reads a topic from these offsets."""
    consumer = ck.Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"bench-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": QUEUE_BACKOFF_MS,
        }
    )
    consumer.assign([ck.TopicPartition(topic, n, at) for n, at in enumerate(starts)])
    return consumer
