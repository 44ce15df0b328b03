"""The status of a batch, with a scripted response topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import confluent_kafka as ck
import pytest

from kafka_bridge.airflow.batch.finished_job import FinishedJob
from kafka_bridge.airflow.batch.rounds import Batch, Round
from kafka_bridge.airflow.batch.status import read_status
from kafka_bridge.airflow.batch.timeouts import BatchTimeouts
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups import job_events
from kafka_bridge.protocol.errors import RecordGone, RecordLocation
from kafka_bridge.protocol.messages import JobFailure, JobState, StatusEvent

from ..samples import JOB, OTHER_JOB, T0, TOPIC, Message, event

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})
AGAIN = JobFailure("busy", "come back", "Traceback …", retryable=True)
NEVER = JobFailure("bad", "no such thing", retryable=False)


def round_of(batch_id: str, count: int, starts: list[int], attempt: int = 1) -> Round:
    """Return a round."""
    return Round(batch_id, attempt, count, 1_800_000_000_000, starts)


def published(which: Round, position: int, state: JobState, **fields: Any) -> StatusEvent:
    """Return an event of a job of a round."""
    return event(state, correlation_id=which.job_ids()[position], **fields)


FIRST, SECOND = round_of(JOB, 4, [0]), round_of(OTHER_JOB, 2, [5], attempt=2)
BATCH = Batch("q", TOPIC, [FIRST])
EVENTS = [
    published(FIRST, 0, JobState.ACCEPTED),
    published(FIRST, 2, JobState.FAILED, error=AGAIN),
    published(FIRST, 0, JobState.SUCCEEDED, result=b"7", result_type="application/json"),
    published(FIRST, 3, JobState.FAILED, error=NEVER),
    published(FIRST, 2, JobState.SUCCEEDED),
]
"""At the offsets from 0 to 4 of the one partition."""


class Junk(Message):
    """A record under the key of an event's job that is not an event."""

    def value(self) -> bytes:
        """Return bytes in no encoding."""
        return b"junk"


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[StatusEvent]:
    """Give the list of what is in the response topic, to be added to."""
    contents: list[StatusEvent] = []

    def scan(
        config: KafkaConfig, name: str, start: Sequence[int], *, timeout: float, **_: object
    ) -> Iterator[list[ck.Message]]:
        assert (config, name, start, timeout) == (CONFIG, TOPIC, [0], 30)
        for offset, each in enumerate(contents):
            place = RecordLocation(TOPIC, 0, offset)
            records = [Junk(each, place), Message(each, place)]
            yield cast(list[ck.Message], records)

    monkeypatch.setattr(job_events, "scan", scan)
    return contents


def test_first_terminal_event_of_a_job_counts(topic: list[StatusEvent]) -> None:
    """Other events, those of other jobs, and records that are not events do not."""
    topic += [*EVENTS, event(JobState.SUCCEEDED, correlation_id=OTHER_JOB)]
    status = read_status(CONFIG, BATCH, Reply.EVENTS, 30)
    assert status.jobs == [
        FinishedJob(JobState.SUCCEEDED, result=7),
        None,
        FinishedJob(JobState.FAILED, error=AGAIN),
        FinishedJob(JobState.FAILED, error=NEVER),
    ]
    assert status.unsettled == [1, 2]
    assert status.job_ids(finished=False) == [FIRST.job_ids()[1]]
    assert status.job_ids(finished=True) == [FIRST.job_ids()[n] for n in (0, 2, 3)]
    assert not status.was_cancelled
    assert status.failures == 2


def test_events_of_the_last_round_reach_its_timeouts(topic: list[StatusEvent]) -> None:
    """All of them, also those that come after the next round began, at the time of their record."""
    topic += [
        *EVENTS,
        published(SECOND, 0, JobState.ACCEPTED),
        published(SECOND, 1, JobState.SUCCEEDED),
    ]
    seen: list[tuple[str, JobState, float]] = []
    timeouts = cast(
        BatchTimeouts,
        SimpleNamespace(apply=lambda job, head, at: seen.append((job, head.state, at))),
    )
    read_status(CONFIG, BATCH.with_round(SECOND), Reply.EVENTS, 30, [6], timeouts)
    one, other = SECOND.job_ids()
    assert seen == [(one, JobState.ACCEPTED, T0), (other, JobState.SUCCEEDED, T0)]


def test_later_round_has_the_payloads_that_were_unsettled_when_it_began(
    topic: list[StatusEvent],
) -> None:
    """The jobs of a later round have the payloads that were not settled when it began.

    What came of the first round after that decides nothing, and what has failed for good stays so.
    """
    topic += [
        *EVENTS,
        published(FIRST, 1, JobState.SUCCEEDED),
        published(SECOND, 1, JobState.SUCCEEDED, result=b"2", result_type="application/json"),
    ]
    status = read_status(CONFIG, BATCH.with_round(SECOND), Reply.EVENTS, 30)
    assert status.indices == [1, 2]
    assert status.jobs == [
        FinishedJob(JobState.SUCCEEDED, result=7),
        None,
        FinishedJob(JobState.SUCCEEDED, result=2),
        FinishedJob(JobState.FAILED, error=NEVER),
    ]
    assert status.unsettled == [1]


def test_status_before_another_round_ends_where_that_round_begins(topic: list[StatusEvent]) -> None:
    """Later events must not change which payloads it has."""
    topic += EVENTS
    status = read_status(CONFIG, BATCH, Reply.EVENTS, 30, before=[2])
    assert status.unsettled == [0, 1, 2, 3]
    assert status.job_ids(finished=True) == [FIRST.job_ids()[2]]


def test_cancelled_job_is_unsettled(topic: list[StatusEvent]) -> None:
    """Another attempt may succeed."""
    topic.append(published(FIRST, 0, JobState.CANCELLED, message="by alice"))
    status = read_status(CONFIG, BATCH, Reply.EVENTS, 30)
    assert status.was_cancelled
    assert status.unsettled == [0, 1, 2, 3]
    (end, *_) = status.jobs
    assert end is not None
    assert end.error == JobFailure("cancelled", "by alice")


def test_missing_responses_of_an_earlier_round_are_an_error(topic: list[StatusEvent]) -> None:
    """Nothing is guessed after retention has removed them."""
    topic += EVENTS[:2]
    with pytest.raises(RecordGone) as caught:
        read_status(CONFIG, BATCH.with_round(SECOND), Reply.EVENTS, 30)
    assert str(caught.value) == (
        f"responses to batch {JOB} are no longer in topic 'jobs.responses': its retention is "
        "shorter than the batch takes. Clear the task to submit the whole batch again."
    )
