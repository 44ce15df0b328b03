"""A rolling restart of ten workers, with 300,000 finished jobs behind some that take an hour.

Eight jobs that take an hour are at the head of the request topic. A worker has finished the others.
Then ten workers share the topic, and 20 new jobs are published each second. One worker after the
other gets SIGTERM, and a new process takes its place. Measured is the time of each new job from its
request to its terminal event: the longest, and p50. The peer is the same restart without the
finished jobs.
"""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import confluent_kafka as ck

from bench.measure import Result, Round, Scale
from bench.rows.restart import Group, until
from bench.rows.worker import Stage, environment, is_end
from bench.traffic import PARTITIONS, job_ids, producer, raw_consumer

WORKERS = 10
REQUEST_PARTITIONS = 20
FINISHED = 300_000
OLD = 8
A_SECOND = 20
SETTLED_JOBS = 200
"""So many jobs must end in a row before the restart begins."""
_ENVIRONMENT = {
    "KAFKA_BRIDGE_CONCURRENCY": "16",
    "KAFKA_BRIDGE_GRACE_SECONDS": "1",
    "KAFKA_BRIDGE_JOB_LOG": "off",
}


@dataclass(frozen=True)
class Restart:
    """A rolling restart: how long it took, and how long each new job took meanwhile, in seconds."""

    seconds: float
    jobs: list[float]


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    count, workers = scale.size(FINISHED), 3 if scale.short else WORKERS
    name = (
        f"rolling restart of {workers} workers, {OLD} jobs of an hour with {count:,} finished "
        f"behind them, {A_SECOND} new jobs/s"
    )
    peer = "the same without the finished jobs"
    longest = Result(f"{name}: the longest new job", peer, "s", None)
    median = Result("the same: p50 of the new jobs", peer, "s", None)
    whole = Result("the same: the whole restart", peer, "s", None)
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"rolling restart, round {number + 1}")
        ours, without = (_restart(servers, workers, behind) for behind in (count, 0))
        longest.rounds.append(Round(max(ours.jobs), max(without.jobs)))
        median.rounds.append(Round(statistics.median(ours.jobs), statistics.median(without.jobs)))
        whole.rounds.append(Round(ours.seconds, without.seconds))
    return [longest, median, whole]


def _restart(servers: str, workers: int, finished: int) -> Restart:
    with contextlib.ExitStack() as stack:
        stage, old = Stage(servers, stack, REQUEST_PARTITIONS), job_ids(OLD)
        group = Group(stage, REQUEST_PARTITIONS)
        stack.enter_context(environment(**_ENVIRONMENT, BENCH_BLOCK=",".join(old)))
        stage.publish(old)
        if finished:
            _finish(stage, group, finished)
        running = [stack.enter_context(stage.program("ours")) for _ in range(workers)]
        until(lambda: group.members == workers, f"the group has {workers} members")
        with _Stream(stage) as stream:
            until(lambda: len(stream.took) >= SETTLED_JOBS, "the new jobs end")
            stream.took.clear()
            begin = time.perf_counter()
            for process in running:
                process.terminate()
                process.wait(60)
                stack.enter_context(stage.program("ours"))
                until(lambda: group.members == workers, f"the group has {workers} members")
            seconds = time.perf_counter() - begin
        return Restart(seconds, stream.took)


def _finish(stage: Stage, group: Group, count: int) -> None:
    """Let a worker finish so many jobs behind the old ones, and kill it."""
    stage.publish(job_ids(count))
    with stage.program("ours") as process:
        stage.ends(count)
        until(lambda: group.finished >= count, "the last jobs are committed as finished")
        process.kill()
    until(lambda: group.is_empty, "the group is empty")


@dataclass
class _Stream:
    """Publishes new jobs until the block ends, and then waits for their ends."""

    stage: Stage
    took: list[float] = field(default_factory=list)
    _published: dict[bytes, float] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._watch = raw_consumer(
            self.stage.servers, self.stage.responses, [ck.OFFSET_END] * PARTITIONS
        )
        self._watch.poll(1.0)
        self._threads = [threading.Thread(target=each) for each in (self._publish, self._read)]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for each in self._threads:
            each.join()
        self._watch.close()

    def _publish(self) -> None:
        sender, number = producer(self.stage.servers), 0
        while not self._stopping.wait(1 / A_SECOND):
            (job,) = job_ids(1)
            self._published[job.encode()] = time.monotonic()
            sender.produce(self.stage.requests, self.stage.request(job, number), key=job)
            sender.poll(0)
            number += 1
        sender.flush()

    def _read(self) -> None:
        for message in self._messages():
            since = self._published.get(message.key() or b"")
            if since is not None and is_end(message):
                del self._published[message.key() or b""]
                self.took.append(time.monotonic() - since)

    def _messages(self) -> Iterator[ck.Message]:
        last = time.monotonic()
        while not self._stopping.is_set() or self._published:
            message = self._watch.poll(0.05)
            if message is not None:
                last = time.monotonic()
                yield message
            elif time.monotonic() - last > 120:
                raise RuntimeError(f"{len(self._published)} jobs did not end in 120 s")
