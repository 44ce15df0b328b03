"""One worker process with no-op jobs, against the loops that one would write instead.

*Jobs/s*: the topic has all requests before the process starts. The rate counts from the first event
to the last terminal event, by the timestamps of their records, so that the start is not measured.

*At 100 jobs/s*: from the append of each request to its terminal event.

*Queued*: how much memory the process needs for 10,000 requests that wait behind a job that blocks.

*Old records*: from the start of the process to the first terminal event, with a million old records
in the response topic, which the ledger has to read, and without them.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import confluent_kafka as ck
import psutil

from bench.measure import Result, Round, Scale, Target
from bench.traffic import PARTITIONS, job_ids, new_topic, producer, raw_consumer, reply_to
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, utc_now

JOBS = 20_000
QUEUED = 10_000
OLD = 1_000_000
A_SECOND = 100
SECONDS = 20
WHERE_THE_TIME_GOES = (
    "For each job, the polling thread takes about 55 µs of CPU and the handler's threads 25 µs; "
    "the hand-written loop takes 60 µs in its only thread. The rest: the worker's threads wait "
    "for the interpreter lock that they share"
)
PROGRAMS = {
    "ours": "bench.peers.noop_worker",
    "handwritten": "bench.peers.handwritten",
    "faststream": "bench.peers.faststream_loop",
    "processes": "bench.peers.process_worker",
}


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows; the last two only in the long form."""
    quick = [*_throughput(servers, scale, say), *_latency(servers, scale, say)]
    if scale.short:
        return quick
    return [*quick, _memory(servers, scale, say), _old_records(servers, scale, say)]


def end_program(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to a program, and SIGKILL if it goes on for 20 s."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Stage:
    """Topics for one process, and the process."""

    def __init__(
        self, servers: str, stack: contextlib.ExitStack, request_partitions: int = PARTITIONS
    ) -> None:
        self.servers = servers
        self.requests = stack.enter_context(new_topic(servers, request_partitions))
        self.responses = stack.enter_context(new_topic(servers))
        self._control = stack.enter_context(new_topic(servers))
        self._dead_letters = stack.enter_context(new_topic(servers))

    def publish(
        self, jobs: Sequence[str], *, ago: timedelta = timedelta(0), job_type: str = "noop"
    ) -> None:
        """Publish a request for each job.

        :param ago: the age of the requests
        """
        sender = producer(self.servers)
        for number, job in enumerate(jobs):
            sender.produce(self.requests, self.request(job, number, ago, job_type), key=job)
        sender.flush()

    def request(
        self, job: str, number: int, ago: timedelta = timedelta(0), job_type: str = "noop"
    ) -> bytes:
        """Return the bytes of a request for a job that does nothing."""
        return encode(
            JobRequest(
                correlation_id=job,
                job_type=job_type,
                payload=str(number).encode(),
                payload_type="application/json",
                response_topic=self.responses,
                created_at=utc_now() - ago,
                heartbeat_interval_ms=10_000,
            )
        )

    def group(self, name: str) -> str:
        """Return the consumer group of a program."""
        return f"{self.requests}-{name}"

    def program(self, name: str) -> contextlib.AbstractContextManager[psutil.Process]:
        """Run a program of the bench on these topics inside the block."""
        return self.command(name, [sys.executable, "-m", PROGRAMS[name]])

    @contextlib.contextmanager
    def command(
        self, name: str, command: Sequence[str], folder: Path | None = None
    ) -> Iterator[psutil.Process]:
        """Run any worker on these topics inside the block.

        :param name: of its consumer group
        """
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={
                **os.environ,
                "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": self.servers,
                "KAFKA_BRIDGE_GROUP_ID": self.group(name),
                "KAFKA_BRIDGE_REQUEST_TOPIC": self.requests,
                "KAFKA_BRIDGE_CONTROL_TOPIC": self._control,
                "KAFKA_BRIDGE_DEAD_LETTER_TOPIC": self._dead_letters,
                "KAFKA_BRIDGE_RESPONSE_TOPIC": self.responses,
                "BENCH_RESPONSE_TOPIC": self.responses,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield psutil.Process(process.pid)
        finally:
            end_program(process)

    def ends(self, count: int, *, any_reply: bool = False) -> list[ck.Message]:
        """Return the first event, and then the terminal events of ``count`` jobs as they arrive.

        :param any_reply: each job has only one record, its terminal event
        """
        wanted = count if any_reply else count + 1
        consumer = raw_consumer(self.servers, self.responses, [0] * PARTITIONS)
        found: list[ck.Message] = []
        give_up = time.monotonic() + 300
        while len(found) < wanted:
            for message in consumer.consume(1000, 0.05):
                if not found or any_reply or is_end(message):
                    found.append(message)
            if time.monotonic() > give_up:
                raise RuntimeError(f"only {len(found)} of {count} jobs finished in 300 s")
        consumer.close()
        return found


def is_end(message: ck.Message) -> bool:
    """Return whether a record is a terminal event."""
    try:
        return read_head(message.value()).state in TERMINAL
    except RemoteProtocolError:
        return False


def _throughput(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    count = scale.size(JOBS)
    ours_and = {
        "handwritten": Result(
            f"worker: {count:,} no-op jobs, jobs/s of one process",
            "a hand-written loop with the same guarantees, in batches",
            "jobs/s",
            Target(">=", 0.5),
            explanation=WHERE_THE_TIME_GOES,
            summary="One worker process does {ours} that do nothing. A loop written by hand, with "
            "the same guarantees but nothing else, does {peer}.",
        ),
        "faststream": Result(
            "the same",
            "FastStream (confluent): consume, produce, no acknowledgements",
            "jobs/s",
            None,
        ),
    }
    for number in range(1 if scale.short else scale.rounds()):
        say(f"worker, no-op jobs, round {number + 1}")
        ours = _rate(servers, "ours", count)
        for peer, result in ours_and.items():
            result.rounds.append(Round(ours, _rate(servers, peer, count)))
    return list(ours_and.values())


def _rate(servers: str, program: str, count: int) -> float:
    with contextlib.ExitStack() as stack:
        stage = Stage(servers, stack)
        stage.publish(job_ids(count))
        with stage.program(program):
            ends = stage.ends(count, any_reply=program == "faststream")
        times = [each.timestamp()[1] for each in ends]
        return count / max(0.001, (max(times) - min(times)) / 1000)


def _latency(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    rows = [
        Result(
            f"worker: {A_SECOND} jobs/s, request to terminal event, {name}",
            "the hand-written loop",
            "ms",
            None,
        )
        for name in ("p50", "p99")
    ]
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"worker, latency, round {number + 1}")
        ours = _delays(servers, "ours", scale)
        peer = _delays(servers, "handwritten", scale)
        for row, percentile in zip(rows, (50, 99), strict=True):
            row.rounds.append(Round(_at(ours, percentile), _at(peer, percentile)))
    return rows


def _at(values: list[float], percentile: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percentile - 1]


def _delays(servers: str, program: str, scale: Scale) -> list[float]:
    jobs = job_ids(A_SECOND * (3 if scale.short else SECONDS))
    with contextlib.ExitStack() as stack:
        stage = Stage(servers, stack)
        warm_up = job_ids(50)
        stage.publish(warm_up)
        with stage.program(program):
            stage.ends(len(warm_up))
            sender, made = producer(servers), dict[bytes, float]()
            begin = time.time()
            for number, job in enumerate(jobs):
                value = stage.request(job, number)
                time.sleep(max(0.0, begin + number / A_SECOND - time.time()))
                made[job.encode()] = time.time() * 1000
                sender.produce(stage.requests, value, key=job)
                sender.poll(0)
            sender.flush()
            ends = stage.ends(len(jobs) + len(warm_up))[1:]
    came = [(made.get(each.key() or b""), each.timestamp()[1]) for each in ends]
    return [at - since for since, at in came if since is not None]


def _memory(servers: str, scale: Scale, say: Callable[[str], None]) -> Result:
    count = scale.size(QUEUED)
    result = Result(
        f"worker: memory with {count:,} requests queued behind a running job",
        "the same process without queued requests",
        "MB",
        None,
        figure=lambda each: each.ours - each.peer,
        figure_unit="MB more",
    )
    for number in range(scale.rounds(2)):
        say(f"worker, memory, round {number + 1}")
        result.rounds.append(Round(_resident(servers, count), _resident(servers, 0)))
    return result


def _resident(servers: str, queued: int) -> float:
    with contextlib.ExitStack() as stack:
        stage = Stage(servers, stack)
        (first,) = job_ids(1)
        stack.enter_context(environment(BENCH_BLOCK=first))
        stage.publish([first, *job_ids(queued)])
        with stage.program("ours") as process:
            raw = raw_consumer(servers, stage.responses, [0] * PARTITIONS)
            while raw.poll(0.1) is None:
                pass
            raw.close()
            sizes = [0.0]
            while len(sizes) < 10 or max(sizes[-5:]) > 1.001 * min(sizes[-5:]):
                time.sleep(0.3)
                sizes.append(process.memory_info().rss / 1e6)
            return sizes[-1]


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables inside the block."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def _old_records(servers: str, scale: Scale, say: Callable[[str], None]) -> Result:
    count = scale.size(OLD)
    result = Result(
        f"worker: from start to the first terminal event, with {count:,} old records in the "
        "response topic",
        "the same without old records",
        "s",
        None,
        figure=lambda each: each.ours - each.peer,
        figure_unit="s more",
    )
    for number in range(scale.rounds(2)):
        say(f"worker, start, round {number + 1}")
        result.rounds.append(Round(_start(servers, count), _start(servers, 0)))
    return result


def _start(servers: str, old: int) -> float:
    with contextlib.ExitStack() as stack:
        stage = Stage(servers, stack)
        sender, keys = producer(servers), job_ids(10_000)
        values = [reply_to(key) for key in keys]
        for number in range(old):
            at = number % len(keys)
            sender.produce(stage.responses, values[at], key=keys[at])
        sender.flush()
        (job,) = job_ids(1)
        stage.publish([job], ago=timedelta(hours=1))
        watch = raw_consumer(servers, stage.responses, [ck.OFFSET_END] * PARTITIONS)
        watch.poll(1.0)
        begin = time.perf_counter()
        with stage.program("ours"):
            while True:
                message = watch.poll(0.1)
                if message is not None and message.key() == job.encode() and is_end(message):
                    break
        took = time.perf_counter() - begin
        watch.close()
        return took
