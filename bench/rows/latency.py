"""One reply on an idle topic: from its publish until the waiting job has its event.

Replies are published one by one, 20 ms apart. On our side, a job waits on the hub among 1,000
others. The peer is a raw consumer that polls. Both times are measured in this process, from just
before the call of the producer. So both contain the time of the producer and the broker, and the
row is the difference.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from bench.measure import Result, Round, Scale, Target
from bench.sides import OurSide, waiting
from bench.traffic import ends_of, job_ids, new_topic, producer, raw_consumer, reply_to

REPLIES = 300
OTHERS = 1_000
PAUSE_SECONDS = 0.02
SUMMARY = (
    "A reply reaches the task that waits for it {ours} after it is published. A bare Kafka "
    "consumer takes {peer}."
)


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the 50th and the 99th percentile."""
    rows = [
        Result(
            f"one reply on an idle topic: from publish to event, {name}",
            "raw poll()",
            "ms",
            Target("<=", limit, "ms more"),
            figure=lambda each: each.ours - each.peer,
            summary=summary,
        )
        for name, limit, summary in (("p50", 2.0, SUMMARY), ("p99", 10.0, ""))
    ]
    with new_topic(servers) as topic:
        for number in range(scale.rounds()):
            say(f"latency, round {number + 1}")
            ours = asyncio.run(_ours(servers, topic, scale.size(REPLIES)))
            peer = _raw(servers, topic, scale.size(REPLIES))
            for row, percentile in zip(rows, (50, 99), strict=True):
                row.rounds.append(Round(_at(ours, percentile), _at(peer, percentile)))
    return rows


def _at(seconds: list[float], percentile: int) -> float:
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percentile - 1]


async def _ours(servers: str, topic: str, count: int) -> list[float]:
    side, sender, starts = OurSide(servers, topic), producer(servers), ends_of(servers, topic)
    others = await waiting(side.wait, job_ids(OTHERS), starts)
    jobs = job_ids(count)
    tasks = await waiting(side.wait, jobs, starts)
    await side.ready(OTHERS + count)
    took = []
    for job, task in zip(jobs, tasks, strict=True):
        value = reply_to(job)
        await asyncio.sleep(PAUSE_SECONDS)
        begin = time.perf_counter()
        sender.produce(topic, value, key=job)
        await task
        took.append(time.perf_counter() - begin)
        sender.poll(0)
    for task in others:
        task.cancel()
    await side.close()
    return took


def _raw(servers: str, topic: str, count: int) -> list[float]:
    consumer, sender = raw_consumer(servers, topic, ends_of(servers, topic)), producer(servers)
    arrived: SimpleQueue[float] = SimpleQueue()
    stopping = threading.Event()

    def read() -> None:
        while not stopping.is_set():
            if consumer.poll(0.05) is not None:
                arrived.put(time.perf_counter())

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(1)
    took = []
    for job in job_ids(count):
        value = reply_to(job)
        time.sleep(PAUSE_SECONDS)
        begin = time.perf_counter()
        sender.produce(topic, value, key=job)
        took.append(arrived.get() - begin)
        sender.poll(0)
    stopping.set()
    thread.join()
    consumer.close()
    return took
