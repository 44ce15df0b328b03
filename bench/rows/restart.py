"""A worker that dies while old jobs run, with many finished ones behind them, and its successor.

Eight jobs that take an hour are at the head of the request topic. A worker finishes the others and
is killed. Measured is its successor, from the start of the process until a new job has ended, and
the most memory that it has needed by then.

The peer is the same successor once more, after the metadata of the commits was removed, as an older
worker or one in another language would have left it: it reads all those requests again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from bench.measure import Result, Round, Scale, Target
from bench.rows.worker import Stage, environment, is_end
from bench.traffic import PARTITIONS, job_ids, raw_consumer
from kafka_bridge.kafka.finished_runs import from_metadata

FINISHED = 300_000
OLD = 8
SESSION_MS = 3_000
"""How long the group waits for the killed worker. That is not measured."""
SECONDS = 300.0
_ENVIRONMENT = {
    "KAFKA_BRIDGE_CONCURRENCY": "16",
    "KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS),
    "KAFKA_BRIDGE_JOB_LOG": "off",
}


@dataclass(frozen=True)
class Start:
    """How long a start took, in seconds, and how much memory in MB."""

    seconds: float
    megabytes: float


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    count = scale.size(FINISHED)
    name = (
        f"worker killed with {OLD} jobs of an hour, {count:,} finished behind them: its successor"
    )
    peer = "the same worker without commit metadata"
    seconds = Result(
        f"{name}, from its start to the end of a new job",
        peer,
        "s",
        Target("<=", 4, "s"),
        figure=lambda each: each.ours,
        summary=f"A worker that replaces a killed one, with {count:,} finished jobs behind some "
        "that still run, has done its first job after {ours}.",
    )
    memory = Result(
        f"{name}, memory",
        peer,
        "MB",
        Target("<=", 100, "MB"),
        figure=lambda each: each.ours,
    )
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"worker, restart, round {number + 1}")
        ours, without = _starts(servers, count)
        seconds.rounds.append(Round(ours.seconds, without.seconds))
        memory.rounds.append(Round(ours.megabytes, without.megabytes))
    return [seconds, memory]


class Group:
    """The group of our workers, seen from outside."""

    def __init__(self, stage: Stage, partitions: int = PARTITIONS) -> None:
        self._name, self._topic = stage.group("ours"), stage.requests
        self._partitions = partitions
        self._admin = AdminClient({"bootstrap.servers": stage.servers})
        self._client = ck.Consumer({"bootstrap.servers": stage.servers, "group.id": self._name})

    def _committed(self) -> list[ck.TopicPartition]:
        asked = [ck.TopicPartition(self._topic, number) for number in range(self._partitions)]
        return self._client.committed(asked, timeout=10)

    @property
    def finished(self) -> int:
        """How many requests are committed as finished."""
        found = [(each, from_metadata(each.offset, each.metadata)) for each in self._committed()]
        return sum(max(0, at.offset) + (runs.offsets if runs else 0) for at, runs in found)

    @property
    def members(self) -> int:
        """How many members it has; 0 while it rebalances."""
        group = self._admin.describe_consumer_groups([self._name])[self._name].result(10)
        return len(group.members) if group.state is ck.ConsumerGroupState.STABLE else 0

    @property
    def is_empty(self) -> bool:
        """Whether it has no members."""
        group = self._admin.describe_consumer_groups([self._name])[self._name].result(10)
        return not group.members

    def remove_metadata(self) -> None:
        """Commit the same offsets without metadata."""
        offsets = [
            ck.TopicPartition(self._topic, each.partition, each.offset)
            for each in self._committed()
        ]
        self._client.commit(offsets=offsets, asynchronous=False)


def _starts(servers: str, count: int) -> tuple[Start, Start]:
    """Return the start of the successor with metadata, and without."""
    with contextlib.ExitStack() as stack:
        stage, old = Stage(servers, stack), job_ids(OLD)
        group = Group(stage)
        stack.enter_context(environment(**_ENVIRONMENT, BENCH_BLOCK=",".join(old)))
        stage.publish(old)
        stage.publish(job_ids(count))
        with stage.program("ours") as process:
            stage.ends(count)
            until(lambda: group.finished >= count, "the last jobs are committed as finished")
            process.kill()
        ours = _start(stage, group)
        until(lambda: group.is_empty, "the group is empty")
        group.remove_metadata()
        return ours, _start(stage, group)


def _start(stage: Stage, group: Group) -> Start:
    """Start a worker; kill it when it has done a new job."""
    until(lambda: group.is_empty, "the group is empty")
    (new,) = job_ids(1)
    watch = raw_consumer(stage.servers, stage.responses, [ck.OFFSET_END] * PARTITIONS)
    watch.poll(1.0)
    stage.publish([new])
    most, begin = 0, time.perf_counter()
    with stage.program("ours") as process:
        for message in _messages(watch):
            most = max(most, process.memory_info().rss)
            if message is not None and message.key() == new.encode() and is_end(message):
                break
        seconds = time.perf_counter() - begin
        process.kill()
    watch.close()
    return Start(seconds, most / 1e6)


def _messages(consumer: ck.Consumer) -> Iterator[ck.Message | None]:
    give_up = time.monotonic() + SECONDS
    while time.monotonic() < give_up:
        yield consumer.poll(0.02)
    raise RuntimeError(f"the new job did not end in {SECONDS:g} s")


def until(condition: Callable[[], bool], what: str) -> None:
    """Return once a condition is true.

    :param what: completes "it did not happen that …"
    """
    give_up = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > give_up:
            raise RuntimeError(f"it did not happen in {SECONDS:g} s that {what}")
        time.sleep(0.1)
