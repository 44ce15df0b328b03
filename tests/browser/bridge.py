"""A broker, a worker in a process of its own, and boards, as people start them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from integration.jobs import config_of, event, request

from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.topics import (
    CONTROL_TOPIC,
    DEAD_LETTER_TOPIC,
    REQUEST_TOPIC,
    RESPONSE_TOPIC,
)

WAITING_TOPIC = "jobs.waiting"
"""No worker reads it."""
MANY_TOPIC = "jobs.many"
"""Nor this one."""
TOPICS = [
    REQUEST_TOPIC,
    WAITING_TOPIC,
    MANY_TOPIC,
    RESPONSE_TOPIC,
    CONTROL_TOPIC,
    DEAD_LETTER_TOPIC,
]

SERVICE = """
import itertools
from kafka_bridge.worker import JobContext, Worker

worker = Worker("service", worker_id="w-1", concurrency=8)

@worker.job("steps")
def steps(job: JobContext, payload: None) -> None:
    for done in itertools.count():
        job.raise_if_stopped()
        job.progress(done % 1000, total=1000, unit="files", message="hashing")
        job.sleep(0.2)

@worker.job("echo")
def echo(job: JobContext, payload: str) -> str:
    return payload

@worker.job("fail")
def fail(job: JobContext, payload: str) -> None:
    raise OSError(payload)

worker.run()
"""


class Kafka:
    """What writes to the topics beside the worker."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.producer = RecordProducer(config_of(servers))

    def submit(
        self, job_type: str, payload: Any = None, topic: str = REQUEST_TOPIC, **fields: Any
    ) -> str:
        """Publish a request; return its job."""
        wanted = request(job_type, RESPONSE_TOPIC, payload, **fields)
        key, value = wanted.correlation_id.encode(), encode(wanted)
        self.producer.publish(topic, key, value, request_headers(wanted, Encoding.AVRO))
        return wanted.correlation_id

    def submit_many(self, number: int, job_type: str, topic: str) -> None:
        """Publish requests, and wait until the broker has all of them."""
        for _ in range(number):
            wanted = request(job_type, RESPONSE_TOPIC)
            headers = request_headers(wanted, Encoding.AVRO)
            self.producer.send(topic, wanted.correlation_id.encode(), encode(wanted), headers)
        self.producer.flush()

    def report(self, job: str, state: JobState, **fields: Any) -> None:
        """Publish an event, as a worker in any language may write it."""
        self.producer.publish(RESPONSE_TOPIC, job.encode(), encode(event(job, state, **fields)), [])

    def bury(self, reason: str) -> None:
        """Publish a dead letter whose request cannot be read."""
        headers = [
            ("kafka_dlt-original-topic", REQUEST_TOPIC.encode()),
            ("kafka_dlt-exception-fqcn", reason.encode()),
            ("kafka_dlt-exception-message", reason.encode()),
        ]
        self.producer.publish(DEAD_LETTER_TOPIC, reason.encode(), reason.encode(), headers)


@contextmanager
def kafka(servers: str) -> Iterator[Kafka]:
    """Give what writes to the topics of a broker."""
    found = Kafka(servers)
    with found.producer:
        yield found


@contextmanager
def worker(servers: str) -> Iterator[None]:
    """Run a worker on the request topic."""
    with _process(servers, "-c", SERVICE):
        yield


@contextmanager
def board(servers: str, *options: str, token: str = "") -> Iterator[str]:
    """Run the board of the request topics, and give its address."""
    topics = [REQUEST_TOPIC, WAITING_TOPIC, MANY_TOPIC]
    words = ["-m", "kafka_bridge", "board", *topics, "--port", "0", *options]
    with _process(servers, *words, token=token) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, line
        yield found[0]


@contextmanager
def _process(servers: str, *words: str, token: str = "") -> Iterator[subprocess.Popen[str]]:
    environ = {
        **os.environ,
        "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": servers,
        "KAFKA_BRIDGE_BOARD_TOKEN": token,
    }
    process = subprocess.Popen(
        [sys.executable, *words], env=environ, text=True, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()  # a worker would wait for its jobs
        process.communicate()
