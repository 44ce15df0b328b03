"""Four workers, jobs all the while, and at random: kill -9, frozen and thawed, stopped and started.

In one form, very long jobs are among quick ones, and another program commits in the workers' group.

The seed fixes what is done and in which order; what the machine makes of it differs between runs.
``make chaos`` runs the long form: thousands of jobs and two minutes. CHAOS_SEED sets another seed.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.jobs import config_of, request
from integration.worker.chaos import (
    BROKER_SETTINGS,
    PARTITIONS,
    PUBLISH_SECONDS,
    SESSION_SECONDS,
    Chaos,
    Events,
    ends_of,
    events_of,
    publish_and_harm,
    stage_on,
    until_all_ended,
)
from integration.worker.programs import Stage
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Arrival, Delivery, Notice
from kafka_bridge.protocol.lifecycle import TERMINAL, JobHistory, Verdict
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent
from kafka_bridge.testing import ApacheKafka

SEED = int(os.environ.get("CHAOS_SEED", "20261125"))
WORKERS = 4
LONGEST_MS = 200
VERY_LONG, VERY_LONG_MS = 12, 8_000
SMALL = {"WORTHWHILE": "20", "SEEK_RECORDS": "20", "KAFKA_BRIDGE_MAX_DELIVERIES": "1000"}
"""From how many finished requests on a commit names them, and a worker seeks over them. Of the
workers that die, many die while they run the same long job: that is not its fault."""
PROCESS_JOBS = int(os.environ.get("CHAOS_PROCESS_JOBS", "3000"))
PROCESS_SECONDS = float(os.environ.get("CHAOS_PROCESS_SECONDS", "60"))
"""The form with handlers in child processes; smaller numbers for a first look."""
STEP_SECONDS = 90.0
"""How long a step of the jobs may take, on a busy machine."""
HEARTBEAT_MS = 500
HEARTBEAT_TIMEOUT = 3 * SESSION_SECONDS
"""The silence after which a task gives up its worker: three times the session, as by default."""


@pytest.fixture
def quick_broker(kafka_jars: None) -> Iterator[ApacheKafka]:
    """Give a broker of the test's own that takes short session time-outs."""
    with ApacheKafka(BROKER_SETTINGS) as broker:
        yield broker


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("jobs", "seconds", "job_type"),
    [
        (1_000, 10.0, "work"),
        pytest.param(6_000, 120.0, "work", marks=pytest.mark.long),
        pytest.param(PROCESS_JOBS, PROCESS_SECONDS, "work.process", marks=pytest.mark.long),
    ],
)
def test_every_job_ends_once_whatever_dies(
    quick_broker: ApacheKafka,
    unique_name: Callable[[str], str],
    tmp_path: Path,
    jobs: int,
    seconds: float,
    job_type: str,
) -> None:
    """Every job ends and none is started once its end is on record; a waiting task hears the first.

    No job has a second end: a thawed worker asks before it publishes. The same event may be there
    twice: a worker publishes it again if the broker went before it could acknowledge it.
    """
    config = config_of(quick_broker.bootstrap_servers)
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        stage = stage_on(quick_broker, producer, unique_name, tmp_path)
        requests = [
            request(job_type, stage.responses, number % (LONGEST_MS + 1)) for number in range(jobs)
        ]
        if job_type == "work.process":
            stage.runs = ("worker", "run", "process_handlers:worker")
        chaos = Chaos(stage, quick_broker, random.Random(SEED))
        reader, heard = _reader(stage, requests)
        try:
            chaos.start(WORKERS)
            publish_and_harm(chaos, requests, seconds)
            until_all_ended(stage, requests)
            chaos.settle()
            ends = ends_of(stage)
        finally:
            reader.close()
            stage.close()
    _check(stage, chaos, ends, heard, jobs)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("jobs", "harms"), [(3_000, 6), pytest.param(20_000, 40, marks=pytest.mark.long)]
)
def test_finished_jobs_behind_very_long_ones_never_run_again(
    quick_broker: ApacheKafka,
    unique_name: Callable[[str], str],
    tmp_path: Path,
    jobs: int,
    harms: int,
) -> None:
    """Commits say which jobs behind a long one are finished; another program may replace that.

    Between two harms, some jobs end: it takes as long as the machine needs.
    """
    config = config_of(quick_broker.bootstrap_servers)
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        stage = stage_on(quick_broker, producer, unique_name, tmp_path)
        long = [request("work", stage.responses, VERY_LONG_MS) for _ in range(VERY_LONG)]
        quick = [request("work", stage.responses, number % 3) for number in range(jobs)]
        chaos = Chaos(stage, quick_broker, random.Random(SEED), environ=SMALL)
        reader, heard = _reader(stage, long + quick)
        try:
            stage.publish(*long, *quick)
            chaos.start(WORKERS)
            for step in range(1, harms + 1):
                _until_started(stage, step * jobs // (harms + 1))
                if step == harms // 2:
                    chaos.commit_for_the_group()
                else:
                    chaos.harm()
            until_all_ended(stage, long + quick)
            chaos.settle()
            ends = ends_of(stage)
        finally:
            reader.close()
            stage.close()
    used = sum(each.said.count("are finished and are not read again") for each in stage.programs)
    print(f"{used} times, what was finished behind a long job was not read again")  # noqa: T201
    assert used >= 1
    _check(stage, chaos, ends, heard, VERY_LONG + jobs)


def _until_started(stage: Stage, jobs: int) -> None:
    """Wait until so many jobs have started."""
    give_up = time.monotonic() + STEP_SECONDS
    while not stage.notes.exists() or len(stage.started()) < jobs:
        assert time.monotonic() < give_up, f"{jobs} jobs have not started"
        time.sleep(0.2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("jobs", "seconds", "replaces_after"),
    [(700, 6.0, math.inf), pytest.param(6_000, 90.0, 12.0, marks=pytest.mark.long)],
)
def test_no_task_loses_its_worker_while_another_has_its_partition(
    quick_broker: ApacheKafka,
    unique_name: Callable[[str], str],
    tmp_path: Path,
    jobs: int,
    seconds: float,
    replaces_after: float,
) -> None:
    """Workers with long backlogs are killed and stopped: what had begun is soon spoken for again.

    All jobs are queued at the start, so that whoever takes a partition over has its own queue, and
    those that are gone are replaced late or never.
    """
    config = config_of(quick_broker.bootstrap_servers)
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        stage = stage_on(quick_broker, producer, unique_name, tmp_path)
        requests = [
            request(
                "work",
                stage.responses,
                100 + number % (LONGEST_MS + 1),
                heartbeat_interval_ms=HEARTBEAT_MS,
            )
            for number in range(jobs)
        ]
        stage.publish(*requests)
        chaos = Chaos(stage, quick_broker, random.Random(SEED), freezes=False)
        chaos.replaces_after = replaces_after
        try:
            chaos.start(WORKERS)
            chaos.running[-1].until_said("Ready for jobs")
            give_up = time.monotonic() + seconds
            while time.monotonic() < give_up:
                threading.Event().wait(chaos.chance.uniform(1.0, 3.0))
                if len(chaos.running) > WORKERS // 2:
                    chaos.harm()
            until_all_ended(stage, requests)
            silences = {job: _longest_silence(each) for job, each in events_of(stage).items()}
        finally:
            chaos.close()
            stage.close()
    longest = max(silences.values())
    print(  # noqa: T201  this is what the long form is run for
        f"{jobs} jobs; {dict(chaos.did)}; longest silence of one that had begun: {longest:.1f} s"
    )
    lost = {job: silence for job, silence in silences.items() if silence > HEARTBEAT_TIMEOUT}
    assert lost == {}, "\n".join(chaos.log)


def _longest_silence(events: list[tuple[Record, StatusEvent]]) -> float:
    """Return the longest time in which the task of a job that had begun heard nothing."""
    history, heard_at, longest = JobHistory(), math.inf, 0.0
    for record, event in events:
        if history.take(event) is Verdict.STALE:
            continue
        at = record.timestamp_ms / 1000
        longest = max(longest, at - heard_at)
        heard_at = math.inf if history.state is None or history.finished else at
    return longest


def _reader(
    stage: Stage, requests: list[JobRequest]
) -> tuple[ResponseReader, dict[str, tuple[int, int]]]:
    """Wait for every job as a trigger does; note by job where the first end lies that was heard."""
    heard: dict[str, tuple[int, int]] = {}

    def hand_over(delivery: Delivery) -> None:
        for subscription, notice in delivery:
            subscription.notify(notice)

    def listener(job: str) -> Callable[[Notice], None]:
        def hear(notice: Notice) -> None:
            if isinstance(notice, Arrival) and notice.head.state in TERMINAL:
                heard.setdefault(job, (notice.location.partition, notice.location.offset))

        return hear

    reader = ResponseReader(stage.config, stage.responses, hand_over)
    for each in requests:
        reader.subscribe(each.correlation_id, [0] * PARTITIONS, listener(each.correlation_id))
    return reader, heard


def _check(
    stage: Stage,
    chaos: Chaos,
    ends: Events,
    heard: dict[str, tuple[int, int]],
    jobs: int,
) -> None:
    first = {job: found[0] for job, found in ends.items()}
    others = [(found[0][1], event) for found in ends.values() for _, event in found[1:]]
    second = [event for end, event in others if event.event_id != end.event_id]
    starts = stage.started()
    after_the_end = [
        (job, at, first[job][0].timestamp_ms)
        for job, times in starts.items()
        for at in times
        if at > first[job][0].timestamp_ms
    ]
    again = sum(len(times) - 1 for times in starts.values())
    print(  # noqa: T201  this is what the long form is run for
        f"{jobs} jobs; {dict(chaos.did)}; {again} were begun again after a worker went; "
        f"{len(second)} second ends; {len(others) - len(second)} ends published twice; "
        f"{len(after_the_end)} starts after the end"
    )
    story = "\n".join([*chaos.log, *map(str, after_the_end), *map(str, second)])
    assert len(first) == jobs
    assert Counter(event.state for _, event in first.values()) == {JobState.SUCCEEDED: jobs}
    assert after_the_end == [], story
    assert second == [], story
    places = {job: (at.location.partition, at.location.offset) for job, (at, _) in first.items()}
    assert heard == places
    assert min(chaos.did.values()) >= 1
    assert chaos.did["broker restart"] + chaos.did["foreign commit"] == 1
