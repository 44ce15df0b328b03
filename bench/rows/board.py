"""The board beside a busy service: processor, memory, and how old the page is.

*Processor*: another process publishes 5,000 RUNNING events a second of 900 jobs. A new process
follows the topic, and keeps its book of jobs. Measured is its processor time. The peer reads and
decodes the same events, and keeps the last one of each job.

*Memory*: how much the resident size of a new process grows with 100,000 jobs, each with a request
and one event. The peer keeps the bytes of both in a dictionary.

*Record to page*: an HTTP client follows the stream of `kafka-bridge board`, as the page does, and
every second or so an event of one job is published. Measured is the time until the client has it,
on quiet topics, and among the 5,000 events a second. The board sends at most once a second.
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import queue
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import httpx
import psutil

from bench.measure import Result, Round, Scale, Target, percentile
from bench.traffic import PARTITIONS, SEED, job_ids, new_topic, producer, raw_consumer
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.follower import JobFollower
from kafka_bridge.monitor.reading import MonitoredTopics
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.ids import new_correlation_id, new_event_id
from kafka_bridge.protocol.messages import (
    JobRequest,
    JobState,
    Progress,
    StatusEvent,
    Task,
    utc_now,
)

EVENTS_A_SECOND = 5_000
RUNNING_JOBS = 900
"""Fewer than the changes after which the stream tells the page to ask for all jobs."""
SECONDS = 30
STEP_SECONDS = 0.1
JOBS = 100_000
SAMPLES = 50
PAUSE_SECONDS = (0.5, 1.5)
"""Between two samples, so that they fall anywhere between two messages of the stream."""
PATIENCE_SECONDS = 60.0


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    return [
        _processor(servers, scale, say),
        _memory(scale, say),
        *_delay(servers, scale, say, "quiet topics", events_a_second=0),
        *_delay(
            servers,
            scale,
            say,
            f"{EVENTS_A_SECOND:,} other events/s",
            events_a_second=EVENTS_A_SECOND,
        ),
    ]


def _processor(servers: str, scale: Scale, say: Callable[[str], None]) -> Result:
    seconds = 10 if scale.short else SECONDS
    row = Result(
        f"board: follow {EVENTS_A_SECOND:,} events/s for {seconds} s: processor time",
        "raw consume(), decode each event, and keep the last one of each job",
        "% of a core",
        None,
    )
    for number in range(scale.rounds(2)):
        say(f"board, processor, round {number + 1}")
        with (
            new_topic(servers, 1) as control,
            new_topic(servers) as topic,
            _traffic(servers, topic, EVENTS_A_SECOND),
        ):
            ours = _in_process(_follow, servers, topic, control, seconds)
            row.rounds.append(Round(ours, _in_process(_decode, servers, topic, seconds)))
    return row


def _follow(answer: Connection, servers: str, topic: str, control: str, seconds: float) -> None:
    book, topics = JobBook(), MonitoredTopics([], [topic], control)
    since = utc_now() - timedelta(seconds=1)
    config = KafkaConfig({"bootstrap.servers": servers})
    follower = JobFollower(config, topics, since, book)
    follower.wait_until_caught_up(PATIENCE_SECONDS)
    share = _share_of_a_core(lambda: book.version, seconds)
    follower.close()
    answer.send(share)


def _decode(answer: Connection, servers: str, topic: str, seconds: float) -> None:
    consumer = raw_consumer(servers, topic, [-1] * PARTITIONS)  # from the end
    last: dict[str, StatusEvent] = {}
    read = 0
    stop = threading.Event()

    def consume() -> None:
        nonlocal read
        while not stop.is_set():
            for message in consumer.consume(1000, 0.1):
                event = decode(StatusEvent, message.value())
                last[event.correlation_id] = event
                read += 1

    thread = threading.Thread(target=consume)
    thread.start()
    while not read:
        time.sleep(0.05)
    share = _share_of_a_core(lambda: read, seconds)
    stop.set()
    thread.join()
    consumer.close()
    answer.send(share)


def _share_of_a_core(read: Callable[[], int], seconds: float) -> float:
    """Return how much of a core this process needs for 5,000 events a second, in per cent.

    It is computed from the processor time for each event, because a busy machine has fewer events.

    :param read: returns how many events have been read
    """
    before, clock = read(), time.process_time()
    time.sleep(seconds)
    events, took = read() - before, time.process_time() - clock
    return 100 * EVENTS_A_SECOND * took / events


def _memory(scale: Scale, say: Callable[[str], None]) -> Result:
    jobs = scale.size(JOBS)
    row = Result(
        f"board: memory for each of {jobs:,} jobs",
        "the bytes of their requests and events in a dictionary",
        "bytes",
        None,
    )
    for number in range(scale.rounds(2)):
        say(f"board, memory, round {number + 1}")
        row.rounds.append(Round(_in_process(_book, jobs), _in_process(_dictionary, jobs)))
    return row


def _book(answer: Connection, jobs: int) -> None:
    book = JobBook()
    before = _resident()
    for number, (request, event) in enumerate(_records(jobs)):
        book.take_request(decode(JobRequest, request), RecordLocation("requests", 0, number))
        book.take_event(decode(StatusEvent, event), RecordLocation("responses", 0, number))
    answer.send((_resident() - before) / jobs)


def _dictionary(answer: Connection, jobs: int) -> None:
    before = _resident()
    kept = dict(enumerate(_records(jobs)))
    answer.send((_resident() - before) / len(kept))


def _records(jobs: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield a request and an event of each job, as real ones are."""
    for number in range(jobs):
        job = new_correlation_id()
        task = Task("production", "nightly", "scheduled__2026-03-01T00:00:00", f"audit_{number}")
        request = JobRequest(
            correlation_id=job,
            job_type="files.audit",
            response_topic="jobs.responses",
            created_at=utc_now(),
            task=task,
        )
        yield encode(request), _running(job, 1)


def _running(job: str, completed: float) -> bytes:
    return encode(
        StatusEvent(
            correlation_id=job,
            event_id=new_event_id(),
            sequence=1,
            state=JobState.RUNNING,
            occurred_at=utc_now(),
            worker_id="bench-worker-1",
            message="reading files",
            progress=Progress(completed, 1e6, "files"),
        )
    )


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _delay(
    servers: str, scale: Scale, say: Callable[[str], None], where: str, *, events_a_second: int
) -> list[Result]:
    say(f"board, record to page, {where}")
    rows = [
        Result(
            f"board: from record to page, {where}, {name}",
            "–",
            "ms",
            Target("<=", 1_500, "ms"),
            figure=lambda each: each.ours,
        )
        for name in ("p50", "p95")
    ]
    with (
        new_topic(servers) as requests,
        new_topic(servers) as responses,
        new_topic(servers, 1) as control,
        _traffic(servers, responses, events_a_second),
        _board(servers, requests, responses, control) as address,
    ):
        try:
            took = _samples(servers, responses, address, 10 if scale.short else SAMPLES)
        except queue.Empty:
            for row in rows:
                row.note = f"failed: no event for {PATIENCE_SECONDS:g} s; the board is behind"
                row.has_failed = True
            return rows
    for row, value in zip(rows, (statistics.median(took), percentile(took, 95)), strict=True):
        row.rounds.append(Round(1000 * value, 0))
    return rows


@contextlib.contextmanager
def _board(servers: str, requests: str, responses: str, control: str) -> Iterator[str]:
    """Run the board; give its address."""
    options = ["--responses", responses, "--control", control, "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kafka_bridge", "board", requests, *options],
        env={**os.environ, "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": servers},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101  it is a pipe
        yield process.stdout.readline().split()[4]
    finally:
        process.terminate()
        process.communicate()


def _samples(servers: str, topic: str, address: str, count: int) -> list[float]:
    """Return for each of some events the seconds from its publish until the page has it."""
    (job,), sender, chance = job_ids(1), producer(servers), random.Random(SEED)  # noqa: S311
    told: queue.Queue[float] = queue.Queue()
    sender.produce(topic, _running(job, 0), key=job)
    sender.flush()
    query = {"show": "jobs", "text": job, "since": _version_with(job, address)}
    with httpx.stream(
        "GET", f"{address}api/events", params=query, trust_env=False, timeout=PATIENCE_SECONDS
    ) as stream:
        lines = stream.iter_lines()
        threading.Thread(target=_listen, args=(lines, told), daemon=True).start()
        took = []
        for number in range(1, count + 1):
            time.sleep(chance.uniform(*PAUSE_SECONDS))
            took.append(_sample(sender, topic, job, number, told))
    return took


def _version_with(job: str, address: str) -> str:
    """Wait until the board knows a job; return the version of its answer, as the page does."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        found = httpx.get(f"{address}api/jobs", params={"text": job}, trust_env=False).json()
        if found["total"]:
            return str(found["status"]["version"])
        time.sleep(0.1)
    raise RuntimeError(f"the board did not read job {job}")


def _sample(sender: Any, topic: str, job: str, number: int, told: queue.Queue[float]) -> float:
    began = time.perf_counter()
    sender.produce(topic, _running(job, number), key=job)
    sender.flush()
    while told.get(timeout=PATIENCE_SECONDS) != number:
        pass
    return time.perf_counter() - began


def _listen(lines: Iterator[str], told: queue.Queue[float]) -> None:
    """Tell of each message which progress the job has in it."""
    with contextlib.suppress(httpx.HTTPError, httpx.StreamError):  # the stream is closed at the end
        for line in lines:
            if line.startswith("data: "):
                for each in json.loads(line.removeprefix("data: "))["jobs"] or []:
                    told.put(each["progress"]["completed"])


@contextlib.contextmanager
def _traffic(servers: str, topic: str, events_a_second: int) -> Iterator[None]:
    """Have another process publish events inside the block."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(
        target=_write, args=(servers, topic, events_a_second, stop), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def _write(servers: str, topic: str, events_a_second: int, stop: Any) -> None:
    sender, jobs = producer(servers), job_ids(RUNNING_JOBS)
    begin, sent = time.time(), 0
    while not stop.is_set():
        due = int((time.time() - begin) * events_a_second)
        for number in range(sent, due):
            job = jobs[number % RUNNING_JOBS]
            sender.produce(topic, _running(job, number), key=job)
        sent = due
        sender.poll(0)
        stop.wait(STEP_SECONDS)
    sender.flush()


def _in_process(measure: Callable[..., None], *arguments: object) -> float:
    """Return what a function sends from a new process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=measure, args=(there, *arguments))
    process.start()
    there.close()
    try:
        figure: float = here.recv()
    finally:
        process.join()
    return figure
