"""What Kafka holds of one job: whether it was asked for, and whether it has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import confluent_kafka as ck

from kafka_bridge.kafka.addressing import candidates, id_in_headers
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.records import headers_of, location_of
from kafka_bridge.kafka.responses.event_readers import HeadReader, event_head
from kafka_bridge.protocol.errors import RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState


@dataclass(frozen=True, slots=True)
class JobEnd:
    """A job's first terminal event: which one, and where it lies."""

    state: JobState
    location: RecordLocation


@dataclass(frozen=True, slots=True)
class JobTrace:
    """What the topics hold: the request or a response, and the end, where there is one."""

    published: bool
    end: JobEnd | None = None


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
) -> JobTrace:
    """Look for a job in both topics, from these offsets up to where the topics end now.

    The request topic is looked at only where no response says that the request is there.

    :param timeout: the longest silence of the brokers, seconds
    :param read_head: what to make of the responses: status events, or plain replies
    :raises KafkaError: as :func:`kafka_bridge.kafka.lookups.scan.scan`
    """
    key = correlation_id.encode()
    heard = False
    for message in _records(config, responses, key, timeout):
        heard = True
        state = _state(message, read_head)
        if state in TERMINAL:
            return JobTrace(published=True, end=JobEnd(state, location_of(message)))
    return JobTrace(published=heard or any(_records(config, requests, key, timeout)))


def _records(
    config: KafkaConfig, part: TopicPart, key: bytes, timeout: float
) -> Iterator[ck.Message]:
    for batch in scan(config, part.topic, part.offsets, timeout=timeout):
        for message in candidates(batch, ck.Message.key, {key}):
            if message.key() == key or id_in_headers(headers_of(message)) == key:
                yield message


def _state(message: ck.Message, read_head: HeadReader) -> JobState:
    """Return what a response says; one that cannot be read says nothing, as for a trigger."""
    try:
        return read_head(message.value(), headers_of(message)).state
    except RemoteProtocolError:
        return JobState.UNKNOWN
