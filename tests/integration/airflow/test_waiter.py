"""A waiter for all jobs of a batch, on a reader of a real Kafka that serves other jobs as well."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.testing import Broker

from ..jobs import config_of
from .waiting_jobs import answer, new_jobs, waiting_on

if TYPE_CHECKING:
    from conftest import TopicFactory

SEED = 20261123
JOBS = 2000


async def test_waiter_of_a_batch_receives_each_end_once(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """Of jobs that finish before it joins, while it waits, and later.

    Other jobs join meanwhile that make the reader go back, past what the batch has seen.
    """
    topic, jobs, others = topics("responses", partitions=3), new_jobs(JOBS), new_jobs(40)
    random.Random(SEED).shuffle(jobs)
    config = config_of(real_broker.bootstrap_servers)
    ends: Counter[str] = Counter()

    async def receive(waiter: Waiter, count: int) -> None:
        async with asyncio.timeout(60):
            while len(ends) < count:
                received = await waiter.next(time.time() + 1)
                if received is not None and isinstance(received[1], Arrival):
                    assert received[1].head.state in TERMINAL
                    ends[received[0]] += 1

    async with waiting_on(config, topic) as waiting:
        waiting.hub.reader._dispatcher.recent.limit = 0  # a late job makes the reader go back
        with RecordProducer(config) as producer:
            await asyncio.to_thread(answer, producer, topic, others + jobs[:700])
            with Waiter(jobs, [0, 0, 0]).join(waiting.hub) as waiter:
                await receive(waiter, 700)
                waiting.join(others, [0, 0, 0])
                await asyncio.to_thread(answer, producer, topic, jobs[700:1400])
                await receive(waiter, 1400)
                await waiting.all_ended()
                await asyncio.to_thread(answer, producer, topic, jobs[1400:])
                await receive(waiter, JOBS)
                assert waiting.hub.reader.counts.rewinds > 0
            assert not waiting.hub.waits_for_any(job.encode() for job in jobs)
    assert ends == dict.fromkeys(jobs, 1)
    assert waiting.ends == dict.fromkeys(others, 1)
