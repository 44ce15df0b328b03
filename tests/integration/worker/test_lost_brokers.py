"""Three brokers, 200 jobs a second, and two of the brokers killed for 45 s."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from integration.jobs import config_of, request
from integration.worker.programs import Stage
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import KafkaError, RecordLocation
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent
from kafka_bridge.testing import KafkaCluster

JOBS_PER_SECOND = 200
BEFORE, DOWN, AFTER = 15.0, 45.0, 30.0
"""Seconds that jobs are published before the brokers go, while they are gone, and after."""
PARTITIONS = 6
WORKERS = 3
STEP = 0.1


class Publisher:
    """Publishes jobs at a steady pace; sends again what failed, as a task's retry does."""

    def __init__(self, stage: Stage, jobs: list[JobRequest]) -> None:
        self._stage = stage
        self._jobs = jobs
        self.sent_again = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        begin, count = time.monotonic(), int(JOBS_PER_SECOND * STEP)
        left: list[tuple[JobRequest, Future[RecordLocation]]] = []
        with RecordProducer(self._stage.config) as producer:
            for number in range(0, len(self._jobs), count):
                left += [(job, self._send(producer, job)) for job in self._jobs[number:][:count]]
                due = begin + (number / count + 1) * STEP
                time.sleep(max(0.0, due - time.monotonic()))
            failed = [job for job, sent in left if not _is_acknowledged(sent)]
        while failed:
            self.sent_again += len(failed)
            with RecordProducer(self._stage.config) as producer:
                again = [(job, self._send(producer, job)) for job in failed]
                failed = [job for job, sent in again if not _is_acknowledged(sent)]

    def _send(self, producer: RecordProducer, job: JobRequest) -> Future[RecordLocation]:
        value, headers = encode(job, Encoding.AVRO), request_headers(job, Encoding.AVRO)
        return producer.send(self._stage.requests, job.correlation_id.encode(), value, headers)


def _is_acknowledged(sent: Future[RecordLocation]) -> bool:
    try:
        sent.result()
    except KafkaError:
        return False
    return True


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_job_is_lost_or_begun_after_its_end_with_two_of_three_brokers_gone(
    kafka_cluster: KafkaCluster, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    """Every job succeeds once its brokers are back, and none starts after its end is on record."""
    jobs = int((BEFORE + DOWN + AFTER) * JOBS_PER_SECOND)
    with RecordProducer(config_of(kafka_cluster.bootstrap_servers)) as producer:
        stage = _stage(kafka_cluster, producer, unique_name, tmp_path)
        requests = [request("work", stage.responses, number % 20) for number in range(jobs)]
        try:
            for _ in range(WORKERS):
                stage.start("--concurrency", "8", ready=False)
            publisher = Publisher(stage, requests)
            publisher.thread.start()
            time.sleep(BEFORE)
            kafka_cluster.kill(*kafka_cluster.numbers[:2])
            time.sleep(DOWN)
            kafka_cluster.start()
            publisher.thread.join()
            ends = _until_all_ended(stage, requests)
            assert [each.process.poll() for each in stage.programs] == [None] * WORKERS
        finally:
            stage.close()
    starts = stage.started()
    late = [
        (job, at, ends[job][0][0].timestamp_ms)
        for job, times in starts.items()
        for at in times
        if at > ends[job][0][0].timestamp_ms
    ]
    again = sum(len(times) - 1 for times in starts.values())
    seconds = sum(len(found) - 1 for found in ends.values())
    print(  # noqa: T201  the figures of a long run
        f"{jobs} jobs; {publisher.sent_again} were published again; {again} were begun again; "
        f"{seconds} second ends; {len(late)} starts after the end"
    )
    assert len(ends) == jobs
    assert {found[0][1].state for found in ends.values()} == {JobState.SUCCEEDED}
    assert late == []


def _stage(
    cluster: KafkaCluster, producer: RecordProducer, name: Callable[[str], str], folder: Path
) -> Stage:
    requests, responses, dead_letters, control = (
        name(each) for each in ("requests", "responses", "dead-letters", "control")
    )
    for topic in (requests, responses, dead_letters, control):
        times = {"message.timestamp.type": "LogAppendTime"} if topic == responses else {}
        cluster.create_topic(topic, PARTITIONS, {"min.insync.replicas": "2", **times})
    config, group = config_of(cluster.bootstrap_servers), name("service")
    return Stage(
        config, producer, requests, responses, dead_letters, control, group=group, folder=folder
    )


Ends = dict[str, list[tuple[Record, StatusEvent]]]


def _until_all_ended(stage: Stage, requests: list[JobRequest]) -> Ends:
    jobs, give_up = {each.correlation_id for each in requests}, time.monotonic() + 300
    while left := jobs - (ends := _ends(stage)).keys():
        assert time.monotonic() < give_up, f"{len(left)} jobs have not ended, such as {left.pop()}"
        time.sleep(1.0)
    return ends


def _ends(stage: Stage) -> Ends:
    """Return by job its terminal events, in the order of their partition."""
    ends: Ends = defaultdict(list)
    for batch in scan(stage.config, stage.responses, [], timeout=30):
        for record in map(Record.of, batch):
            event = record.decode(StatusEvent)
            if event.state in TERMINAL:
                ends[event.correlation_id].append((record, event))
    return ends
