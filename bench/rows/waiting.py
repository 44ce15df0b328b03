"""Ten thousand jobs wait: their replies alone, among a million others, and after a restart.

*Every job has its event*: 10,000 tasks wait, and another process publishes their replies in random
order. The time is from the first publish until the last task has its event. The peer is the minimum
that any implementation must do: a consumer, a dictionary by key, and a future for each job.

*Among a million* and *restart*: the topic already contains the replies among 1,000,000 records of
other jobs. The time is from the start of the reader until the last task has its event. The raw
consumer reads the same range, with a key look-up and without. It has our reader's setting for a
full queue (:data:`bench.traffic.QUEUE_BACKOFF_MS`): with librdkafka's default it would pause for
seconds, and our side would look five times faster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bench.measure import Result, Round, Scale, Target
from bench.sides import OurSide, RawSide, waiting
from bench.traffic import (
    PARTITIONS,
    Publisher,
    ends_of,
    job_ids,
    new_topic,
    producer,
    publish,
    raw_consumer,
    shuffled,
)
from kafka_bridge.airflow.triggerer.reader_metrics import ReaderMetrics

JOBS = 10_000
WHERE_TIME_GOES = (
    "The reader's thread takes 0.6 s of CPU for a million records, the raw consumer 0.5 to 0.7 s. "
    "The rest: 0.1 s to get the topic's partitions and watermarks; 0.1 s to create and wake 10,000 "
    "tasks; 0.2 to 0.4 s for two or three full garbage collections, which these tasks cause in a "
    "process that has loaded Airflow; and both threads share one interpreter lock"
)
FOREIGN = 1_000_000


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the three rows."""
    return [_replies(servers, scale, say), *_among_foreign(servers, scale, say)]


def _replies(servers: str, scale: Scale, say: Callable[[str], None]) -> Result:
    result = Result(
        f"{JOBS:,} waiting jobs, {JOBS:,} shuffled replies: time until every job has its event",
        "raw consume(), a dictionary look-up, and waking as many asyncio futures",
        "s",
        Target("<=", 1.5),
        explanation="Each matched record takes 1.7 µs more than a look-up, because some of its "
        "fields are decoded and its position is noted. Waking a job takes 4 µs instead of 3 µs. "
        "A full garbage collection, which happens in some rounds only, takes 0.1 s",
    )
    with new_topic(servers) as topic:
        for number in range(scale.rounds()):
            say(f"{JOBS:,} replies, round {number + 1}")
            result.rounds.append(
                Round(
                    ours=asyncio.run(_time_replies(servers, topic, ours=True)),
                    peer=asyncio.run(_time_replies(servers, topic, ours=False)),
                )
            )
    return result


async def _time_replies(servers: str, topic: str, *, ours: bool) -> float:
    jobs, starts = job_ids(JOBS), ends_of(servers, topic)
    publisher = Publisher(servers, topic, shuffled(jobs))
    side = OurSide(servers, topic) if ours else RawSide(servers, topic, starts)
    tasks = await waiting(side.wait, jobs, starts)
    if isinstance(side, OurSide):
        await side.ready(JOBS)
    else:
        side.start()
        await asyncio.sleep(1)
    begin = time.perf_counter()
    publisher.go()
    await asyncio.gather(*tasks)
    took = time.perf_counter() - begin
    publisher.close()
    await side.close()
    return took


def _among_foreign(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    foreign, jobs = scale.size(FOREIGN), job_ids(scale.size(JOBS))
    total = foreign + len(jobs)
    rate = Result(
        f"{len(jobs):,} replies among {foreign:,} records of other jobs: records read per second",
        "raw consume() and a key look-up",
        "records/s",
        Target(">=", 0.85),
        explanation=WHERE_TIME_GOES,
    )
    restart = Result(
        f"restart with {len(jobs):,} waiting jobs and {foreign:,} newer records: time until every "
        "job has its event",
        "raw consume() of that range",
        "s",
        Target("<=", 1.3),
        explanation=WHERE_TIME_GOES,
    )
    floor = Result(
        "the same, against a peer that also wakes the jobs",
        f"raw consume(), a dictionary and {len(jobs):,} asyncio futures",
        "s",
        None,
    )
    with new_topic(servers) as topic:
        say(f"publishing {total:,} records")
        publish(producer(servers), topic, shuffled(jobs, foreign))
        for number in range(scale.rounds()):
            say(f"{total:,} records, round {number + 1}")
            ours = asyncio.run(_time_catch_up(servers, topic, jobs))
            looked_up = _time_raw(servers, topic, total, look_up=True)
            rate.rounds.append(Round(total / ours, total / looked_up))
            again = asyncio.run(_time_catch_up(servers, topic, jobs))
            restart.rounds.append(Round(again, _time_raw(servers, topic, total, look_up=False)))
            floor.rounds.append(Round(again, asyncio.run(_time_floor(servers, topic, jobs))))
    return [rate, restart, floor]


async def _time_catch_up(servers: str, topic: str, jobs: list[str]) -> float:
    metrics = ReaderMetrics(topic)
    begin = time.perf_counter()
    side = OurSide(servers, topic, metrics)
    await asyncio.gather(*await waiting(side.wait, jobs, [0] * PARTITIONS))
    took = time.perf_counter() - begin
    await side.close()
    return took


async def _time_floor(servers: str, topic: str, jobs: list[str]) -> float:
    begin = time.perf_counter()
    side = RawSide(servers, topic, [0] * PARTITIONS)
    tasks = await waiting(side.wait, jobs, [0] * PARTITIONS)
    side.start()
    await asyncio.gather(*tasks)
    took = time.perf_counter() - begin
    await side.close()
    return took


def _time_raw(servers: str, topic: str, total: int, *, look_up: bool) -> float:
    known: dict[bytes | None, int] = {b"nobody": 1}
    begin = time.perf_counter()
    consumer = raw_consumer(servers, topic, [0] * PARTITIONS)
    read = 0
    while read < total:
        batch = consumer.consume(1000, 0.1)
        read += len(batch)
        if look_up:
            for message in batch:
                known.get(message.key())
    took = time.perf_counter() - begin
    consumer.close()
    return took
