"""What a task finds of its earlier submissions, with a scripted request topic."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit import earlier
from kafka_bridge.airflow.submit.earlier import earlier_requests, life_of, why_another_life
from kafka_bridge.airflow.submit.requests import prefix_of
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import REPLY_TOPIC, Headers
from kafka_bridge.protocol.ids import new_job_id

from ..samples import T0, TOPIC, context, submission
from ..stand_ins import Kafka, Log

PREFIX = prefix_of(context()["ti"])
FIRST, SECOND, THIRD = (new_job_id(PREFIX) for _ in range(3))
BEFORE_T0 = T0 - 1000
"""Before the submissions of these tests, whose time lies in the future."""


class Topic:
    """The requests of the task in the topic, and what was asked for."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.asked: list[tuple[Any, ...]] = []

    def add(self, job: str, headers: Headers) -> None:
        """Add a request."""
        place = RecordLocation("jobs.requests", 0, len(self.records))
        reply = (REPLY_TOPIC, TOPIC.encode())
        self.records.append(Record(place, job.encode(), b"", [reply, *headers], 0))

    def requests_of(self, _: KafkaConfig, *asked: Any) -> Iterator[Record]:
        """Do as the real one."""
        self.asked.append(asked)
        yield from self.records


@pytest.fixture
def topic(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> Topic:
    """Give an empty topic."""
    topic = Topic()
    monkeypatch.setattr(earlier, "requests_of", topic.requests_of)
    return topic


def find(**facts: Any) -> earlier.Earlier:
    """Look for what the task has submitted."""
    access = KafkaAccess("kafka_default", "c", Encoding.AVRO, Reply.EVENTS, 12, Log())
    return earlier_requests(access, "jobs.requests", context(2, **facts))


def test_submissions_are_in_their_order_and_others_count_as_published(topic: Topic) -> None:
    """Partitions are read in any order, and most requests of a batch say nothing."""
    topic.add(SECOND, submission(try_number=2).header())
    topic.add(THIRD, [])
    topic.add(FIRST, submission().header())
    topic.add(FIRST, submission().header())  # a producer may have sent it twice
    found = find()
    assert found.submissions == [(FIRST, submission()), (SECOND, submission(try_number=2))]
    assert found.published == {FIRST, SECOND, THIRD}
    assert {job: place.offset for job, place in found.places.items()} == {SECOND: 0, FIRST: 2}


def test_only_requests_of_the_task_instance_are_asked_for(topic: Topic) -> None:
    """By the prefix of their ids, which is the same in each try."""
    find()
    ((name, prefix, _, timeout),) = topic.asked
    assert (name, prefix, timeout) == ("jobs.requests", PREFIX, 12)
    assert prefix == prefix_of(context(7, 9)["ti"])


@pytest.mark.parametrize(("clears", "since"), [(0, BEFORE_T0), (1, T0 - 60), (2, T0 - 60)])
def test_search_begins_where_the_run_can_have_submitted_something_first(
    topic: Topic, monkeypatch: pytest.MonkeyPatch, clears: int, since: float
) -> None:
    """At the start of the run; at its first possible start if it was cleared, which changes it."""
    monkeypatch.setattr(earlier, "datetime", _Later)
    find(run_began=BEFORE_T0, clear_number=clears)
    assert topic.asked[0][2] == datetime.fromtimestamp(since, UTC)


def test_search_begins_now_at_the_latest(topic: Topic) -> None:
    """`dag.test()` may run a DAG for a date in the future."""
    find(run_began=T0 + 10_000_000)
    assert topic.asked[0][2] <= datetime.now(UTC)


class _Later(datetime):
    """A clock that is ahead of the times in these tests."""

    @classmethod
    def now(cls, tz: Any = None) -> _Later:
        return cls.fromtimestamp(T0 + 1, tz)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ({}, None),
        ({"max_tries": 3}, "the task was cleared"),
        ({"run_began": T0 + 0.001}, "the DAG run began again"),
    ],
)
def test_task_that_was_cleared_lives_again(now: dict[str, Any], why: str | None) -> None:
    """So does a task whose run was deleted and created again."""
    assert life_of(context()) == submission().life
    assert why_another_life(submission(), context(2, **now)) == why
