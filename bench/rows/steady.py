"""Jobs come steadily, each some seconds behind the head of a busy topic.

For a minute, another process writes 10,000 foreign records a second and the replies; 200 jobs a
second register with the hub, each 2 s after the offsets it waits from were taken. Half of the
replies come before the registration, half a second after it. Measured: the records that the reader
reads for each record in the topic (a reader without a waiter reads each once), and the time from
the later of publication and registration until the event.
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
        f"{JOBS_A_SECOND} registrations/s among {FOREIGN_A_SECOND:,} foreign records/s "
        f"for {seconds} s: records read",
        "the same with no waiter",
        "records",
        Target("<=", 2.0),
    )
    delay = Result(
        "the same: reply to event, p99",
        "–",
        "ms",
        Target("<=", 250, "ms"),
        figure=lambda each: each.ours,
    )
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"steady registration, round {number + 1}")
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
    await asyncio.sleep(3)  # the other interpreter is up
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
    """Write foreign records and replies; odd jobs are answered after they have registered."""
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
        # A job is answered a second after its offsets were taken, or half a second after it came.
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
