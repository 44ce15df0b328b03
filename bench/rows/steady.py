"""New jobs begin to wait all the time, from offsets some seconds behind the end of a busy topic.

For a minute, another process publishes 10,000 records of other jobs a second, and the replies. 200
jobs a second begin to wait at the hub, each from the end offsets of 2 s before. Half of the replies
are published before their job begins to wait, the others half a second after it. Measured are the
records that the reader reads for each record in the topic (a reader without waiting jobs reads each
record once), and the time from the later of the publish and the begin of the wait until the event.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event

from bench.measure import Result, Round, Scale, Target
from bench.sides import OurSide
from bench.traffic import ends_of, job_ids, new_topic, producer, reply_to

JOBS_A_SECOND = 200
FOREIGN_A_SECOND = 10_000
SECONDS = 60
BEHIND_SECONDS = 2.0
STEP_SECONDS = 0.1


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the two rows."""
    seconds = 10 if scale.short else SECONDS
    reads = Result(
        f"{JOBS_A_SECOND} new waiting jobs/s among {FOREIGN_A_SECOND:,} records/s of other jobs, "
        f"for {seconds} s: records read",
        "the same without waiting jobs",
        "records",
        Target("<=", 2.0),
    )
    delay = Result(
        "the same: from reply to event, p99",
        "–",
        "ms",
        Target("<=", 250, "ms"),
        figure=lambda each: each.ours,
    )
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"new waiting jobs, round {number + 1}")
        with new_topic(servers) as topic:
            read, p99 = asyncio.run(_measure(servers, topic, seconds))
            reads.rounds.append(Round(read, sum(ends_of(servers, topic))))
            delay.rounds.append(Round(p99, 0))
    return [reads, delay]


async def _measure(servers: str, topic: str, seconds: int) -> tuple[float, float]:
    jobs = job_ids(JOBS_A_SECOND * seconds)
    context = multiprocessing.get_context("spawn")
    go = context.Event()
    traffic = context.Process(target=_write, args=(servers, topic, jobs, go), daemon=True)
    side = OurSide(servers, topic)
    keeper = asyncio.create_task(side.wait(job_ids(1)[0], ends_of(servers, topic)))
    await side.ready(1)
    traffic.start()
    await asyncio.sleep(3)  # until the other interpreter has started
    go.set()
    begin = time.time()
    took: list[float] = []
    tasks: list[asyncio.Task[None]] = []
    for step in range(int(seconds / STEP_SECONDS)):
        starts = await asyncio.to_thread(ends_of, servers, topic)
        per_step = int(JOBS_A_SECOND * STEP_SECONDS)
        tasks += [
            asyncio.create_task(_one(side, job, starts, took))
            for job in jobs[step * per_step : (step + 1) * per_step]
        ]
        await asyncio.sleep(max(0.0, begin + (step + 1) * STEP_SECONDS - time.time()))
    await asyncio.gather(*tasks)
    keeper.cancel()
    await asyncio.to_thread(traffic.join)
    read = side.hub.reader.counts.records
    await side.close()
    return read, 1000 * statistics.quantiles(took, n=100)[98]


async def _one(side: OurSide, job: str, starts: list[int], took: list[float]) -> None:
    await asyncio.sleep(BEHIND_SECONDS)
    registered = time.time()
    said = await side.wait_for_time(job, starts)
    took.append(time.time() - max(registered, said))


def _write(servers: str, topic: str, jobs: list[str], go: Event) -> None:
    """Publish other records and replies; odd jobs get their reply after they began to wait."""
    sender, foreign = producer(servers), reply_to(job_ids(1)[0])
    keys = job_ids(1000)
    late: list[tuple[float, str]] = []
    go.wait()
    begin, number = time.time(), 0
    per_step = int(JOBS_A_SECOND * STEP_SECONDS)
    steps = len(jobs) // per_step + int((BEHIND_SECONDS + 1) / STEP_SECONDS)
    for step in range(steps):
        for _ in range(int(FOREIGN_A_SECOND * STEP_SECONDS)):
            number += 1
            sender.produce(topic, foreign, key=keys[number % 1000])
        # A reply comes 1 s after its job's offsets were read, or 0.5 s after the job began to wait.
        first = (step - int(1 / STEP_SECONDS)) * per_step
        for at, job in enumerate(jobs[max(0, first) : max(0, first + per_step)]):
            if at % 2:
                late.append((time.time() + BEHIND_SECONDS - 0.5, job))
            else:
                sender.produce(topic, reply_to(job), key=job)
        while late and late[0][0] <= time.time():
            _, job = late.pop(0)
            sender.produce(topic, reply_to(job), key=job)
        sender.poll(0)
        time.sleep(max(0.0, begin + (step + 1) * STEP_SECONDS - time.time()))
    for _, job in late:
        sender.produce(topic, reply_to(job), key=job)
    sender.flush()
