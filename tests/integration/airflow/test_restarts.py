"""The process that runs the triggers is killed, again and again, while jobs end."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.messages import JobState, Progress
from kafka_bridge.testing import Broker

from ..jobs import config_of, event
from .waiting_jobs import new_jobs

if TYPE_CHECKING:
    from conftest import TopicFactory

PROGRAM = Path(__file__).with_name("trigger_process.py")
SEED = 20261123


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("jobs", "kills"), [(150, 3), pytest.param(500, 10, marks=pytest.mark.long)]
)
def test_triggerer_killed_under_load_loses_no_job(
    real_broker: Broker, topics: TopicFactory, tmp_path: Path, jobs: int, kills: int
) -> None:
    """Each job has exactly one event, however often the process dies with -9: none is lost.

    Replies come all the while, before the process is up, as it works and while there is none, among
    ten times as many records to others, and events of progress.
    """
    topic, ids, chance = topics("responses", partitions=3), new_jobs(jobs), random.Random(SEED)
    config = config_of(real_broker.bootstrap_servers)
    triggers, events = tmp_path / "triggers.json", tmp_path / "events.jsonl"
    starts = end_offsets(config, [topic], 10)[topic]
    triggers.write_text(json.dumps([_arguments(job, topic, starts) for job in ids]))
    events.touch()
    with RecordProducer(config) as producer:
        for life in range(kills):
            process = _start(real_broker, triggers, events)
            traffic = threading.Thread(
                target=answer_one_by_one, args=(producer, topic, ids[life::kills])
            )
            traffic.start()
            _until_something_fired(process, events)
            time.sleep(chance.uniform(0, 0.4))
            process.kill()
            process.wait()
            traffic.join()
    process = _start(real_broker, triggers, events)
    assert process.wait(60) == 0
    fired = [json.loads(line) for line in events.read_text().splitlines()]
    assert Counter(each["job"] for each in fired) == dict.fromkeys(ids, 1)
    assert {each["event"]["state"] for each in fired} == {"SUCCEEDED"}


def _arguments(job: str, topic: str, starts: list[int]) -> dict[str, object]:
    return {
        "correlation_id": job,
        "kafka_config_id": "the_broker",
        "response_topic": topic,
        "start_offsets": starts,
        "submitted_at": time.time(),
        "heartbeat_timeout": 90,
    }


def _start(broker: Broker, triggers: Path, events: Path) -> subprocess.Popen[bytes]:
    extra = {"bootstrap.servers": broker.bootstrap_servers}
    connection = {"conn_type": "kafka", "extra": extra}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(triggers), str(events)],
        env={**os.environ, "AIRFLOW_CONN_THE_BROKER": json.dumps(connection)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _until_something_fired(process: subprocess.Popen[bytes], events: Path) -> None:
    """Wait until the process has noted an event, so that it dies at work."""
    size, give_up = events.stat().st_size, time.monotonic() + 30
    while events.stat().st_size == size:
        assert process.poll() is None, "the process ended by itself"
        assert time.monotonic() < give_up, "no trigger fired"
        time.sleep(0.02)


def answer_one_by_one(producer: RecordProducer, topic: str, jobs: list[str]) -> None:
    """Answer some jobs, among ten times as many records to others, and with progress."""
    chance, strangers = random.Random(SEED), new_jobs(200)
    for job in jobs:
        running = event(job, JobState.RUNNING, progress=Progress(1, 2))
        producer.send(topic, job.encode(), encode(running), [])
        for stranger in chance.sample(strangers, 10):
            producer.send(topic, stranger.encode(), encode(event(stranger)), [])
        producer.send(topic, job.encode(), encode(event(job, sequence=1)), [])
        time.sleep(0.08)
