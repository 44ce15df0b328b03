"""A board with the jobs of a service, for its pictures: some wait, some run, some have ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.ids import new_correlation_id, new_event_id
from kafka_bridge.protocol.media_types import JSON, to_json
from kafka_bridge.protocol.messages import (
    JobFailure,
    JobRequest,
    JobState,
    Progress,
    StatusEvent,
    Task,
    utc_now,
)
from kafka_bridge.protocol.topics import CONTROL_TOPIC, DEAD_LETTER_TOPIC, RESPONSE_TOPIC
from kafka_bridge.testing import EmbeddedBroker

REQUEST_TOPICS = ["audits.requests", "thumbs.requests"]
TOPICS = [RESPONSE_TOPIC, CONTROL_TOPIC, DEAD_LETTER_TOPIC]
IMAGES = 60
TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/thumbs/service.py", line 41, in thumbnail
    image.save(target / name, "WEBP")
  File "/srv/thumbs/images.py", line 118, in save
    file.write(data)
OSError: [Errno 28] No space left on device: '/data/thumbs/0117.webp'
"""


@dataclass(frozen=True)
class Scene:
    """The board, and a job that has failed on it."""

    address: str
    failed_job: str


@contextmanager
def board_scene() -> Iterator[Scene]:
    """Run a broker with the jobs, and a board that shows them."""
    with EmbeddedBroker([*REQUEST_TOPICS, *TOPICS]) as broker:
        with RecordProducer(KafkaConfig({"bootstrap.servers": broker.bootstrap_servers})) as sender:
            failed = _write(_Writer(sender, utc_now()))
        process = subprocess.Popen(
            [sys.executable, "-m", "kafka_bridge", "board", *REQUEST_TOPICS, "--port", "0"],
            env={**os.environ, "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": broker.bootstrap_servers},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            yield Scene(process.stdout.readline().split()[4], failed)
        finally:
            process.terminate()
            process.communicate()


class _Writer:
    def __init__(self, producer: RecordProducer, now: datetime) -> None:
        self._producer = producer
        self._now = now

    def submit(self, task: str, ago: float, topic: str = "thumbs.requests") -> str:
        """Publish a request that is so many seconds old; return its job."""
        dag = "nightly_thumbnails" if topic == "thumbs.requests" else "weekly_audit"
        payload = to_json({"bucket": "photos", "images": IMAGES, "format": "webp"})
        request = JobRequest(
            correlation_id=new_correlation_id(),
            job_type="images.thumbnail" if topic == "thumbs.requests" else "files.audit",
            payload=payload,
            payload_type=JSON,
            response_topic=RESPONSE_TOPIC,
            created_at=self._before(ago),
            task=Task("production", dag, f"scheduled__{self._now:%Y-%m-%d}", task),
        )
        key, headers = request.correlation_id.encode(), request_headers(request, Encoding.AVRO)
        self._producer.publish(topic, key, encode(request), headers)
        return request.correlation_id

    def report(self, job: str, state: JobState, ago: float, worker: int, **fields: Any) -> None:
        """Publish an event that is so many seconds old."""
        event = StatusEvent(
            correlation_id=job,
            event_id=new_event_id(),
            sequence=0,
            state=state,
            occurred_at=self._before(ago),
            worker_id=f"thumbs-{worker}",
            **fields,
        )
        self._producer.publish(RESPONSE_TOPIC, job.encode(), encode(event), [])

    def run(self, job: str, since: float, until: float, worker: int, images: int) -> None:
        """Publish that a worker has accepted a job, and its progress since then."""
        self.report(job, JobState.ACCEPTED, since, worker)
        for done in range(0, images + 1, max(1, images // 12)):
            ago = since - 1 - (since - 1 - until) * done / images
            progress = Progress(done, IMAGES, "images")
            name = f"2026/03/{done:04}.jpg"
            self.report(job, JobState.RUNNING, ago, worker, progress=progress, message=name)

    def _before(self, seconds: float) -> datetime:
        at = self._now - timedelta(seconds=seconds)
        return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _write(writer: _Writer) -> str:
    """Write the jobs; return the one that has failed."""
    for number in range(5):
        job = writer.submit(f"album_{number}", 600 - 40 * number)
        writer.run(job, 590 - 40 * number, 480 - 60 * number, 1 + number % 2, IMAGES)
        result = to_json({"made": IMAGES})
        writer.report(
            job,
            JobState.SUCCEEDED,
            470 - 60 * number,
            1 + number % 2,
            result=result,
            result_type=JSON,
        )
    failed = writer.submit("album_5", 260)
    writer.run(failed, 250, 130, 2, 44)
    message = "[Errno 28] No space left on device: '/data/thumbs/0117.webp'"
    error = JobFailure("OSError", message, retryable=True, details=TRACEBACK)
    writer.report(failed, JobState.FAILED, 125, 2, error=error)
    stopped = writer.submit("album_6", 200)
    writer.run(stopped, 190, 100, 1, 18)
    writer.report(stopped, JobState.CANCELLED, 95, 1, message="wrong bucket")
    for number, images in enumerate((51, 24, 9)):
        job = writer.submit(f"album_{7 + number}", 150 - 20 * number)
        writer.run(job, 120 - 20 * number, 2 + number, 1 + number % 2, images)
    for number in range(4):
        writer.submit(f"album_{10 + number}", 60 - 9 * number)
    audit = writer.submit("audit", 80, "audits.requests")
    writer.report(audit, JobState.ACCEPTED, 70, 3)
    return failed
