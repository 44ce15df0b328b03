"""The events of jobs that a scan finds, with a scripted topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups import job_events, job_lookup
from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW, JobEventScan
from kafka_bridge.kafka.lookups.job_lookup import requests_of, terminal_states
from kafka_bridge.kafka.response_records import plain_head
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.headers import CORRELATION_ID
from kafka_bridge.protocol.ids import new_correlation_id, new_job_id, task_prefix
from kafka_bridge.protocol.messages import JobState, StatusEvent, utc_now
from kafka_bridge.worker.runtime import ledger_snapshot
from kafka_bridge.worker.runtime.ledger_snapshot import read_snapshot

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})
JOB, OTHER = new_correlation_id(), new_correlation_id()


class Topics:
    """The records by topic, and from where each topic was read."""

    def __init__(self) -> None:
        self.records: dict[str, list[ck.Message]] = {"requests": [], "responses": []}
        self.starts: list[tuple[str, Any]] = []

    def scan(
        self, _: KafkaConfig, topic: str, start: Any, **__: object
    ) -> Iterator[Sequence[ck.Message]]:
        """Do as the real one."""
        self.starts.append((topic, start))
        yield self.records[topic]

    def add(
        self,
        state: JobState | bytes,
        job: str = JOB,
        *,
        key: bytes | None = None,
        header: bool = False,
        topic: str = "responses",
    ) -> None:
        """Add an event, or other bytes, of a job."""
        value = state if isinstance(state, bytes) else encode(event(job, state))
        message = ck.Message(
            topic=topic,
            partition=0,
            offset=len(self.records[topic]),
            key=key if header else job.encode(),
            value=value,
            headers=[(CORRELATION_ID, job.encode())] if header else [],
            timestamp=(ck.TIMESTAMP_CREATE_TIME, 0),
        )
        self.records[topic].append(message)


def event(job: str, state: JobState) -> StatusEvent:
    """Return a status event."""
    return StatusEvent(
        correlation_id=job,
        event_id="e",
        sequence=0,
        state=state,
        occurred_at=utc_now(),
        worker_id="w",
    )


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    """Give the topics that are read, to be filled."""
    topics = Topics()
    monkeypatch.setattr(job_events, "scan", topics.scan)
    monkeypatch.setattr(job_lookup, "scan", topics.scan)
    monkeypatch.setattr(ledger_snapshot, "offsets_since", lambda *_, **__: [0])
    return topics


@pytest.mark.parametrize("key", [None, b"a key of its own"])
def test_record_is_found_by_its_header_where_its_key_is_another(
    topics: Topics, key: bytes | None
) -> None:
    """A service that answers as Spring or NestJS does may leave the key out."""
    topics.add(JobState.SUCCEEDED, key=key, header=True)
    topics.add(JobState.FAILED, OTHER)
    scan = JobEventScan(CONFIG, "responses", [0], 30)
    found = [(job, state) for job, state, _ in scan.terminal_events({JOB.encode(): "mine"})]
    assert found == [("mine", JobState.SUCCEEDED)]
    assert scan.records == 2


def test_keyed_events_are_found_by_key_only(topics: Topics) -> None:
    """Damage, and an event under a key of its own, are not a worker's events."""
    topics.add(JobState.RUNNING)
    topics.add(b"junk", OTHER)
    topics.add(JobState.FAILED, key=b"short", header=True)
    topics.add(JobState.SUCCEEDED, OTHER)
    scan = JobEventScan(CONFIG, "responses", [0], 30)
    events = [(job, head.state) for job, head, _ in scan.keyed_events()]
    assert events == [(JOB.encode(), JobState.RUNNING), (OTHER.encode(), JobState.SUCCEEDED)]
    assert scan.records == 4
    assert [job for job, _, _ in scan.keyed_events({OTHER.encode()})] == [OTHER.encode()]


def test_replay_and_workers_find_the_same_finished_jobs(topics: Topics) -> None:
    """A replay that finds more than workers do would refuse a request that they would run."""
    topics.add(JobState.SUCCEEDED, key=None, header=True)
    topics.add(JobState.SUCCEEDED, OTHER)
    found = terminal_states(CONFIG, "responses", [JOB, OTHER], None, 30)
    ledger = read_snapshot(CONFIG, "responses", 0.0, 1)
    finished = {job for job in (JOB, OTHER) if job.encode() in ledger.finished}
    assert set(found) == finished == {OTHER}


def test_plain_reply_is_a_terminal_event(topics: Topics) -> None:
    """Whatever its bytes are."""
    topics.add(b"42")
    scan = JobEventScan(CONFIG, "responses", [0], 30, plain_head)
    assert [state for _, state, _ in scan.terminal_events({JOB.encode(): JOB})] == [
        JobState.SUCCEEDED
    ]


def test_first_terminal_event_of_a_job_counts(topics: Topics) -> None:
    """Whatever a worker says after it."""
    topics.add(JobState.ACCEPTED)
    topics.add(JobState.FAILED)
    topics.add(JobState.SUCCEEDED)
    assert terminal_states(CONFIG, "responses", [JOB, OTHER], None, 30) == {JOB: JobState.FAILED}


def test_requests_are_found_by_the_prefix_of_their_id(topics: Topics) -> None:
    """Requests of other tasks, and other keys, are not."""
    prefix, other = (task_prefix("s", "d", "r", task, -1) for task in ("a", "b"))
    mine, another = new_job_id(prefix), new_job_id(prefix)
    topics.add(b"one", mine, topic="requests")
    topics.add(b"two", new_job_id(other), topic="requests")
    topics.add(b"three", key=None, header=True, topic="requests")
    topics.add(b"four", key=prefix[:-1].encode(), header=True, topic="requests")
    topics.add(b"five", another, topic="requests")
    since = datetime(2027, 1, 1, tzinfo=UTC)
    found = list(requests_of(CONFIG, "requests", prefix, since, 30))
    assert [each.key for each in found] == [mine.encode(), another.encode()]
    assert [each.value for each in found] == [b"one", b"five"]
    assert topics.starts == [("requests", since - CLOCK_SKEW)]


@pytest.mark.parametrize(
    ("since", "start"),
    [
        (None, ()),
        (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC) - CLOCK_SKEW),
        (datetime.fromtimestamp(1, UTC), datetime.fromtimestamp(0, UTC)),
    ],
)
def test_lookup_by_time_starts_earlier_by_the_clock_skew(
    topics: Topics, since: datetime | None, start: object
) -> None:
    """Clocks differ; and no time is before 1970."""
    assert terminal_states(CONFIG, "responses", [JOB], since, 30) == {}
    assert topics.starts == [("responses", start)]
