"""The worker of the README in Node: a program of its own, with kafkajs, on the embedded broker."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.follower import TopicFollower
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.testing.brokers.embedded import EmbeddedBroker

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
KAFKAJS = "kafkajs@2.2.4"
ADDRESS = "127.0.0.1:9092"
ANSWER_SECONDS = 120.0
BLOCKS = re.findall(r"```js\n(.*?)```", README, re.DOTALL)


def test_the_worker_has_the_fourteen_lines_that_it_is_known_for() -> None:
    """It is one file, and it stays small."""
    (code,) = BLOCKS
    assert code.startswith("// worker.mjs\n")
    assert len([line for line in code.splitlines() if line.strip()]) == 14
    assert f"npm install {KAFKAJS.partition('.')[0]}" in README


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder in which kafkajs is installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", KAFKAJS]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"npm cannot install kafkajs: {done.stderr[-300:]}")
    return tmp_path


@contextmanager
def node_worker(folder: Path, servers: str) -> Iterator[None]:
    """Run the worker of the README on a broker."""
    (code,) = BLOCKS
    assert ADDRESS in code
    (folder / "worker.mjs").write_text(code.replace(ADDRESS, servers), "utf-8")
    worker = subprocess.Popen(["node", "worker.mjs"], cwd=folder)
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.slow
def test_the_worker_answers_a_request_in_json(folder: Path) -> None:
    """Its terminal event has the key of the request, and is one that every reader understands."""
    request = JobRequest(
        correlation_id=new_correlation_id(),
        job_type="images.thumbnail",
        payload=b'{"images": ["a.png", "b.png"]}',
        payload_type="application/json",
        response_topic="jobs.responses",
        created_at=utc_now(),
    )
    came: queue.Queue[Record] = queue.Queue()
    with EmbeddedBroker(["jobs.requests", "jobs.responses"]) as broker:
        config = KafkaConfig({"bootstrap.servers": broker.bootstrap_servers})
        with (
            node_worker(folder, broker.bootstrap_servers),
            closing(TopicFollower(config, "jobs.responses", "test", came.put, timeout=30)),
            RecordProducer(config) as producer,
        ):
            value = encode(request, Encoding.JSON)
            producer.publish("jobs.requests", request.correlation_id.encode(), value, [])
            record = came.get(timeout=ANSWER_SECONDS)
    event = record.decode(StatusEvent)
    assert record.key == request.correlation_id.encode()
    assert (event.state, event.result) == (JobState.SUCCEEDED, b'{"made":2}')
