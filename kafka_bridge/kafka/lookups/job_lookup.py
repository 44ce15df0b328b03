"""Find out what Kafka holds of jobs: their requests, and how they ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import JobEventScan, with_skew
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState


def requests_of(
    config: KafkaConfig, topic: str, prefix: str, since: datetime, timeout: float
) -> Iterator[Record]:
    """Yield the requests whose correlation id has this prefix, in the order of their partition.

    Of the records of other jobs, only the key is read.

    :param topic: the request topic
    :param since: read from requests of this time on, and a bit before: clocks differ
    :param timeout: the longest silence of the brokers, seconds
    :raises KafkaError: as :func:`kafka_bridge.kafka.lookups.scan.scan`
    """
    wanted = prefix.encode()
    for messages in scan(config, topic, with_skew(since), timeout=timeout):
        for message in messages:
            key = message.key()
            if isinstance(key, bytes) and key.startswith(wanted):
                yield Record.of(message)


def terminal_states(
    config: KafkaConfig, topic: str, jobs: Collection[str], since: datetime | None, timeout: float
) -> dict[str, JobState]:
    """Return the terminal state of each of these jobs that is finished: its first one.

    It finds what a worker finds that looks for finished jobs: status events whose key is the job's
    correlation id. An event that names its job only in a header does not count.

    :param topic: the response topic
    :param since: when the oldest of the jobs was created; None reads the whole topic
    :param timeout: the longest silence of the brokers, seconds
    :raises KafkaError: as :func:`kafka_bridge.kafka.lookups.scan.scan`
    """
    start = () if since is None else with_skew(since)
    found: dict[str, JobState] = {}
    scan = JobEventScan(config, topic, start, timeout)
    for job, head, _ in scan.keyed_events({job.encode() for job in jobs}):
        if head.state in TERMINAL:
            found.setdefault(job.decode(), head.state)
    return found
