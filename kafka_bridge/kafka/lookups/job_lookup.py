"""Find out what Kafka holds of jobs: whether they were published, and how they finished."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import confluent_kafka as ck

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW, JobEventScan
from kafka_bridge.kafka.records import location_of
from kafka_bridge.kafka.response_records import HeadReader, event_head
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState

_EARLIEST = datetime.fromtimestamp(0, UTC) + CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class TerminalEvent:
    """A job's first terminal event: its state, and where it lies."""

    state: JobState
    location: RecordLocation


@dataclass(frozen=True, slots=True)
class JobLookup:
    """Whether the topics hold a request or a response of a job, and its terminal event, if any."""

    published: bool
    end: TerminalEvent | None = None


@dataclass(frozen=True, slots=True)
class TopicPart:
    """A topic from some offsets on, given by partition."""

    topic: str
    offsets: Sequence[int]


def find_job(
    config: KafkaConfig,
    correlation_id: str,
    requests: TopicPart,
    responses: TopicPart,
    timeout: float,
    *,
    read_head: HeadReader = event_head,
) -> JobLookup:
    """Look for a job in both topics, from these offsets up to where the topics end now.

    The request topic is read only where the response topic has no record of the job.

    :param timeout: the longest silence of the brokers, seconds
    :param read_head: reads the head of a response: a status event's, or a plain reply's
    :raises KafkaError: as :func:`kafka_bridge.kafka.lookups.scan.scan`
    """
    has_response = False
    events = _records(config, correlation_id, responses, timeout, read_head)
    for state, message in events:
        has_response = True
        if state in TERMINAL:
            return JobLookup(published=True, end=TerminalEvent(state, location_of(message)))
    asked = _records(config, correlation_id, requests, timeout, event_head)
    return JobLookup(published=has_response or any(asked))


def _records(
    config: KafkaConfig,
    correlation_id: str,
    part: TopicPart,
    timeout: float,
    read_head: HeadReader,
) -> Iterator[tuple[JobState, ck.Message]]:
    """Yield a job's records, and the states in them; UNKNOWN where a record cannot be read."""
    scan = JobEventScan(config, part.topic, part.offsets, timeout, read_head)
    for _, head, message in scan.events_of({correlation_id.encode(): correlation_id}):
        yield JobState.UNKNOWN if head is None else head.state, message


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
    start = () if since is None else max(since, _EARLIEST) - CLOCK_SKEW
    found: dict[str, JobState] = {}
    scan = JobEventScan(config, topic, start, timeout)
    for job, head, _ in scan.keyed_events({job.encode() for job in jobs}):
        if head.state in TERMINAL:
            found.setdefault(job.decode(), head.state)
    return found
