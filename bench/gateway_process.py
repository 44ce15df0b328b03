"""A gateway process with its own topics and file, and jobs for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.traffic import PARTITIONS, new_topic, producer, raw_consumer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, utc_now
from kafka_bridge.testing.local_airflow.config import LOOPBACK
from kafka_bridge.testing.ports import free_port

READY = "Ready for jobs"
START_SECONDS = 60.0
END_SECONDS = 120.0
JOB_TYPE = "bench.job"


class GatewayStage:
    """Topics for gateways, and their file."""

    def __init__(self, servers: str, stack: contextlib.ExitStack) -> None:
        self.servers = servers
        self.requests, self.control, self.dead_letters, self.callbacks = (
            stack.enter_context(new_topic(servers)) for _ in range(4)
        )
        # An event's timestamp is the time at which the broker appended it.
        self.responses = stack.enter_context(
            new_topic(servers, config={"message.timestamp.type": "LogAppendTime"})
        )
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-bridge-bench-"))
        self._folder = Path(folder)

    def file(self, jobs: dict[str, Any], services: dict[str, Any] | None = None) -> Path:
        """Write a gateway's file."""
        (self._folder / "secret").write_text("known to all who measure")
        port = free_port()
        content = {
            "group_id": f"{self.requests}-gateway",
            "request_topic": self.requests,
            "control_topic": self.control,
            "dead_letter_topic": self.dead_letters,
            "callbacks": {
                "public_url": f"http://{LOOPBACK}:{port}",
                "port": port,
                "secret": {"file": str(self._folder / "secret")},
                "topic": self.callbacks,
            },
            "services": services or {},
            "jobs": jobs,
        }
        path = self._folder / "gateway.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    @contextlib.contextmanager
    def gateway(self, file: Path) -> Iterator[psutil.Process]:
        """Run a gateway inside the block, and wait until it has its partitions."""
        log = self._folder / "gateway.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "kafka_bridge", "gateway", "run", str(file)],
                env={**os.environ, "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": self.servers},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            give_up = time.monotonic() + START_SECONDS
            while READY not in log.read_text():
                if process.poll() is not None or time.monotonic() > give_up:
                    raise RuntimeError(f"the gateway did not start:\n{log.read_text()[-4000:]}")
                time.sleep(0.05)
            yield psutil.Process(process.pid)
        finally:
            process.kill()
            process.wait()

    def publish(self, jobs: Sequence[str]) -> None:
        """Publish a request for each job."""
        sender = producer(self.servers)
        for job in jobs:
            sender.produce(self.requests, self._request(job), key=job)
        sender.flush()

    def _request(self, job: str) -> bytes:
        return encode(
            JobRequest(
                correlation_id=job,
                job_type=JOB_TYPE,
                response_topic=self.responses,
                created_at=utc_now(),
                heartbeat_interval_ms=10_000,
            )
        )

    def ends(self, jobs: Sequence[str]) -> dict[str, float]:
        """Return when each job's terminal event was appended, seconds since 1970."""
        waiting, found = {job.encode() for job in jobs}, dict[str, float]()
        consumer = raw_consumer(self.servers, self.responses, [0] * PARTITIONS)
        give_up = time.monotonic() + END_SECONDS
        while waiting:
            for message in consumer.consume(1000, 0.05):
                key = message.key()
                if key in waiting and read_head(message.value()).state in TERMINAL:
                    waiting.remove(key)
                    found[key.decode()] = message.timestamp()[1] / 1000
            if time.monotonic() > give_up:
                raise RuntimeError(f"{len(waiting)} of {len(jobs)} jobs are not finished")
        consumer.close()
        return found
