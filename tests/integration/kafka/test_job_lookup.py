"""The state of a job, looked up in both topics of a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS, config_of, event, request
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_lookup import JobLookup, TerminalEvent, TopicPart, find_job
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordLocation, TopicNotFound
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory


class Job:
    """A job with topics of its own, which hold other jobs' records before and after."""

    def __init__(self, config: KafkaConfig, producer: RecordProducer, *topics: str) -> None:
        self.id = new_correlation_id()
        self._config, self._producer = config, producer
        self._requests, self._responses = topics
        self._noise()
        self.look_from_here()

    def look_from_here(self) -> None:
        """Take where the topics end now for where the job's records begin."""
        ends = end_offsets(self._config, [self._requests, self._responses], WAIT_SECONDS)
        self.requests = TopicPart(self._requests, ends[self._requests])
        self.responses = TopicPart(self._responses, ends[self._responses])

    def ask(self) -> None:
        """Publish the request, then others."""
        asked = request("x", self._responses, correlation_id=self.id)
        self._producer.publish(self._requests, self.id.encode(), encode(asked), [])
        self._noise()

    def answer(self, state: JobState) -> RecordLocation:
        """Say something of the job."""
        value = encode(event(self.id, state))
        return self._producer.publish(self._responses, self.id.encode(), value, [])

    def junk(self) -> None:
        """Write under the job's key what nobody can read."""
        self._producer.publish(self._responses, self.id.encode(), b"junk", [])

    def trace(self) -> JobLookup:
        """Look for the job."""
        return find_job(self._config, self.id, self.requests, self.responses, WAIT_SECONDS)

    def _noise(self) -> None:
        for _ in range(50):
            other = request("x", self._responses)
            key, end = other.correlation_id.encode(), event(other.correlation_id)
            self._producer.send(self._requests, key, encode(other), [])
            sent = self._producer.send(self._responses, key, encode(end), [])
        sent.result()


@pytest.fixture(scope="module")
def producer(real_broker: Broker) -> Iterator[RecordProducer]:
    """Give one producer to all tests: each takes half a second to get its first record out."""
    with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
        yield producer


@pytest.fixture
def job(real_broker: Broker, topics: TopicFactory, producer: RecordProducer) -> Job:
    """Give a job that nobody has published."""
    config = config_of(real_broker.bootstrap_servers)
    return Job(config, producer, topics("q", partitions=3), topics("a", partitions=3))


def test_job_without_records_is_not_published(job: Job) -> None:
    """Neither topic has a record of it."""
    assert job.trace() == JobLookup(published=False)


def test_request_without_events_is_published(job: Job) -> None:
    """An unanswered request is found among others."""
    job.ask()
    assert job.trace() == JobLookup(published=True)


def test_job_with_an_event_is_published(job: Job) -> None:
    """It was published, even if its request is deleted now."""
    job.answer(JobState.ACCEPTED)
    job.junk()
    assert job.trace() == JobLookup(published=True)


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_first_terminal_event_is_found_with_its_location(job: Job, state: JobState) -> None:
    """The first one counts."""
    job.ask()
    job.answer(JobState.RUNNING)
    place = job.answer(state)
    job.answer(JobState.SUCCEEDED)
    assert job.trace() == JobLookup(published=True, end=TerminalEvent(state, place))


def test_records_before_the_offsets_are_ignored(job: Job) -> None:
    """Records before the job's start offsets are not of this job."""
    job.ask()
    job.answer(JobState.SUCCEEDED)
    job.look_from_here()
    assert job.trace() == JobLookup(published=False)


def test_deleted_topic_is_an_error(job: Job) -> None:
    """The error names the topic."""
    job.responses = TopicPart("no.responses", [0])
    with pytest.raises(TopicNotFound, match=r"topic 'no.responses' does not exist"):
        job.trace()
