"""What a worker remembers of its topics is small, whatever lies in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from integration.jobs import config_of, event
from integration.worker.endings import end_of
from integration.worker.programs import Program, Stage
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import Command, JobCommand, JobState, utc_now

if TYPE_CHECKING:
    from conftest import TopicFactory

COUNT = 400
TEXT = "x" * 900_000
"""With :data:`COUNT` of them 360 MB, and as good as nothing once they are compressed."""
PUBLISH_SECONDS = 300.0
"""Compressing it all takes seconds of CPU."""
MOST_MB = 150
"""How much more memory a worker may need for them, for good."""


def test_large_texts_in_its_topics_cost_a_worker_nothing(
    stage: Stage, topics: TopicFactory, eventually: Callable[..., None]
) -> None:
    """360 MB of progress messages, as much of reasons, and keys that are as long: none is kept.

    They are a few hundred kilobytes on the broker's disk.
    """
    plain = _after_a_job(stage, stage.start())
    stage.programs[0].kill()
    stage.responses, stage.control = topics("responses", 1), topics("control", 1)
    config = config_of(stage.config.bootstrap_servers, compression_type="zstd")
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        jobs = [new_correlation_id() for _ in range(COUNT)]
        _publish(producer, stage.responses, ((job.encode(), _progress(job)) for job in jobs))
        ended = encode(event(jobs[0]), Encoding.AVRO)
        keys = (f"{number}{TEXT}".encode() for number in range(COUNT))
        _publish(producer, stage.responses, ((key, ended) for key in keys))
        _publish(producer, stage.control, ((job.encode(), _cancel(job)) for job in jobs))
    _grows_little(stage, stage.start(KAFKA_BRIDGE_GROUP_ID=f"{stage.group}-2"), plain, eventually)


def test_requests_that_are_too_large_are_not_kept(
    stage: Stage, eventually: Callable[..., None]
) -> None:
    """Five of 130 MB, a few hundred kilobytes on the broker's disk, are dead letters."""
    worker = stage.start()
    plain = _after_a_job(stage, worker)
    config = config_of(
        stage.config.bootstrap_servers, compression_type="gzip", message_max_bytes=260_000_000
    )
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        records = ((new_correlation_id().encode(), bytes(130_000_000)) for _ in range(5))
        _publish(producer, stage.requests, records)
    _grows_little(stage, worker, plain, eventually)


def _publish(producer: RecordProducer, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
    for sent in [producer.send(topic, key, value, []) for key, value in records]:
        sent.result()


def _progress(job: str) -> bytes:
    return encode(event(job, JobState.RUNNING, message=TEXT), Encoding.AVRO)


def _cancel(job: str) -> bytes:
    command = JobCommand(
        correlation_id=job, command=Command.CANCEL, reason=TEXT, issued_at=utc_now()
    )
    return encode(command, Encoding.AVRO)


def _grows_little(
    stage: Stage, worker: Program, plain: int, eventually: Callable[..., None]
) -> None:
    """Expect that a worker needs little more than ``plain`` MB, once it has done a job.

    The client unpacks what it has fetched on a thread of its own: on a busy machine it may still
    have some of it as the job ends.
    """
    _after_a_job(stage, worker)
    eventually(
        lambda: _resident(worker) - plain < MOST_MB,
        f"the worker needs less than {plain + MOST_MB} MB",
        60,
    )


def _after_a_job(stage: Stage, worker: Program) -> int:
    """Return a worker's resident memory in MB once it has done a job of an hour ago."""
    job = stage.request("note", created_at=utc_now() - timedelta(hours=1))
    stage.publish(job)
    assert end_of(stage, job).state is JobState.SUCCEEDED
    return _resident(worker)


def _resident(worker: Program) -> int:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    sizes = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if " kB" in line}
    return int(sizes["VmRSS"]) // 1024
