"""The order in which several topics are read, and what happens to those that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.monitor import reading as reading_module
from kafka_bridge.monitor.book import JobBook, Limits
from kafka_bridge.monitor.intake import Intake
from kafka_bridge.monitor.reading import HistoryReading, MonitoredTopics, TopicProgress
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.protocol.messages import JobState, Message

from .records import CONTROL, NOW, REQUESTS, RESPONSES, event, job_id, request, seconds

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})


class Topics:
    """Topics in memory, read in batches of two."""

    def __init__(self) -> None:
        self.records: dict[str, list[ck.Message]] = {}
        self.sinces: dict[str, datetime] = {}
        self.served: list[str] = []

    def add(self, topic: str, message: Message, at: float) -> None:
        """Add a record to a topic."""
        records = self.records.setdefault(topic, [])
        records.append(
            ck.Message(
                topic=topic,
                partition=0,
                offset=len(records),
                key=message.correlation_id.encode(),
                value=encode(message),
                timestamp=(ck.TIMESTAMP_CREATE_TIME, int(seconds(at).timestamp() * 1000)),
            )
        )

    def ends(self, _: KafkaConfig, topics: Sequence[str], __: float) -> dict[str, list[int]]:
        """Stand in for ``end_offsets``."""
        (topic,) = topics
        if topic not in self.records:
            raise TopicNotFound(f"topic {topic!r} does not exist")
        return {topic: [len(self.records[topic])]}

    def scan(
        self, _: KafkaConfig, topic: str, since: datetime, **options: Any
    ) -> Iterator[Sequence[ck.Message]]:
        """Stand in for ``scan``."""
        self.sinces[topic] = since
        for start in range(0, options["until"][0], 2):
            self.served.append(topic)
            yield self.records[topic][start : start + 2]


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    """Give topics that the reading under test reads."""
    topics = Topics()
    monkeypatch.setattr(reading_module, "end_offsets", topics.ends)
    monkeypatch.setattr(reading_module, "scan", topics.scan)
    return topics


def read(book: JobBook, named: MonitoredTopics | None = None) -> dict[str, TopicProgress]:
    """Read the topics into a book."""
    reading = HistoryReading(CONFIG, Intake(book), NOW)
    found = reading.read((named or MonitoredTopics()).kinds())
    return {each.topic: each for each in found}


def test_jobs_end_soon_after_their_requests_are_read(topics: Topics) -> None:
    """So the book has room for few jobs at a time, however many there were since then."""
    for number in range(100):
        topics.add(REQUESTS, request(job_id(number)), number)
        topics.add(RESPONSES, event(JobState.SUCCEEDED, number, job_id(number)), number + 0.5)
    book = JobBook(Limits(live=6, ended=10), now=lambda: seconds(1000))
    read(book)
    assert book.counts.dropped_live == 0
    assert book.counts.live == 0
    assert all(job.job_type for job in book.jobs())


def test_topic_that_cannot_be_read_does_not_stop_the_others(topics: Topics) -> None:
    """Its progress says why."""
    topics.add(REQUESTS, request(), 0)
    book = JobBook(now=lambda: seconds(1000))
    found = read(book)
    assert len(book.jobs()) == 1
    assert {name for name, each in found.items() if each.failure} == {RESPONSES, CONTROL}


def test_response_topics_of_requests_are_read(topics: Topics) -> None:
    """From the same time on, each once."""
    for number in range(3):
        topics.add(REQUESTS, request(job_id(number), response_topic="team.responses"), number)
        topics.add("team.responses", event(JobState.RUNNING, number, job_id(number)), number)
    book = JobBook(now=lambda: seconds(1000))
    found = read(book)
    assert found["team.responses"].records == 3
    assert topics.sinces["team.responses"] == NOW
    assert topics.served.count("team.responses") == 2


def test_reading_goes_on_a_little_before_the_last_record() -> None:
    """Clocks differ. A topic of which nothing was read is read from the time that was asked."""
    progress = TopicProgress("t", next(iter(MonitoredTopics().kinds().values())))
    assert progress.continues_at(NOW) == NOW
    progress.time_ms = int(seconds(600).timestamp() * 1000)
    assert progress.continues_at(NOW) == seconds(540)
    progress.time_ms = 2**62
    assert progress.continues_at(NOW) == NOW
