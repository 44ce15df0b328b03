"""Somebody with *Write* on all four topics, who publishes odd records at a steady pace."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator
from random import Random

import confluent_kafka as ck

from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.messages import JobRequest

from .background import repeating
from .odd_records import OddRecord, OddRecords

RATE = 100
"""Odd records a second, over all topics."""
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
BOMB_BYTES = 130_000_000
"""More than the 100 MB that librdkafka takes apart by default; a few kilobytes on the broker."""
BOMB_SECONDS = 20.0
REMEMBERED_JOBS = 50


class Attacker:
    """Publishes odd records, and answers the requests of ``fuzz.odd``.

    ``published`` counts by topic and by what was odd.
    """

    def __init__(self, servers: str, seed: int) -> None:
        self.published: Counter[tuple[str, str]] = Counter()
        self.answered = 0
        self._chance = Random(seed)
        self._records = OddRecords(self._chance, "fuzz.responses", ["fuzz.count", "fuzz.unknown"])
        self._honest: deque[str] = deque(maxlen=REMEMBERED_JOBS)
        self._producers = [
            ck.Producer(
                {
                    "bootstrap.servers": servers,
                    "compression.type": each,
                    "message.max.bytes": 2 * BOMB_BYTES,
                    "linger.ms": 0,
                }
            )
            for each in COMPRESSIONS
        ]
        self._consumer = ck.Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": f"attacker-{uuid.uuid4()}",
                "auto.offset.reset": "latest",
                "fetch.message.max.bytes": 2 * BOMB_BYTES,
                "receive.message.max.bytes": 3 * BOMB_BYTES,
            }
        )
        self._consumer.subscribe(["fuzz.odd", "fuzz.requests", "fuzz.gateway"])
        self._next_bomb = time.monotonic() + BOMB_SECONDS / 2

    @contextlib.contextmanager
    def attacking(self) -> Iterator[None]:
        """Publish while the block runs."""
        with contextlib.closing(self._consumer), repeating(self._step, 1 / RATE):
            yield
        for producer in self._producers:
            producer.flush(30)

    def _step(self) -> None:
        self._listen()
        self._publish_one()
        if time.monotonic() > self._next_bomb:
            self._next_bomb += BOMB_SECONDS
            self._publish_bomb()

    def _listen(self) -> None:
        for message in self._consumer.consume(20, timeout=0):
            if message.error() is not None:
                continue
            try:
                job = decode(JobRequest, message.value()).correlation_id
            except RemoteProtocolError:
                continue  # an odd one of our own
            if message.topic() == "fuzz.odd":
                self._publish("fuzz.responses", self._records.event(job))
                self._publish("fuzz.responses", self._records.end(job))
                self.answered += 1
            else:
                self._honest.append(job)

    def _publish_one(self) -> None:
        topic = self._chance.choice(
            ("fuzz.requests", "fuzz.gateway", "fuzz.responses", "fuzz.control", "fuzz.dead-letters")
        )
        match topic:
            case "fuzz.responses" if self._honest:
                record = self._records.event(self._chance.choice(self._honest))
            case "fuzz.control":
                record = self._records.command()
            case _:
                record = self._records.request()
        self._publish(topic, record)

    def _publish(self, topic: str, record: OddRecord) -> None:
        producer = self._chance.choice(self._producers)
        producer.produce(topic, record.value, record.key, headers=list(record.headers))
        producer.poll(0)
        self.published[topic, record.what] += 1

    def _publish_bomb(self) -> None:
        """Publish a record that is small on the broker, and unpacked too large for a client."""
        topic = self._chance.choice(("fuzz.requests", "fuzz.responses", "fuzz.control"))
        compression = self._chance.choice(("gzip", "zstd"))
        producer = self._producers[COMPRESSIONS.index(compression)]
        producer.produce(topic, bytes(BOMB_BYTES), uuid.uuid4().bytes)
        producer.flush(30)
        self.published[topic, f"a bomb of {compression}"] += 1
