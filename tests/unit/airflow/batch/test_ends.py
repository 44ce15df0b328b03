"""What the jobs of a batch came to, as the response topic tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import confluent_kafka as ck
import pytest

from kafka_bridge.airflow.batch import ends as ends_module
from kafka_bridge.airflow.batch.ends import read_ends
from kafka_bridge.airflow.batch.job_end import JobEnd
from kafka_bridge.airflow.batch.stored_batch import Batch, Round
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import RecordGone, RecordLocation
from kafka_bridge.protocol.messages import JobFailure, JobState, StatusEvent

from ..samples import JOB, OTHER_JOB, TOPIC, Message, event

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})
AGAIN = JobFailure("busy", "come back", "Traceback …", retryable=True)
NEVER = JobFailure("bad", "no such thing", retryable=False)


def round_of(batch_id: str, count: int, starts: list[int], attempt: int = 1) -> Round:
    """Return a round."""
    return Round(batch_id, attempt, count, 1_800_000_000_000, [0], starts)


def said(which: Round, position: int, state: JobState, **fields: Any) -> StatusEvent:
    """Return what a worker says of a job of a round."""
    return event(state, correlation_id=which.job_ids()[position], **fields)


FIRST, SECOND = round_of(JOB, 4, [0]), round_of(OTHER_JOB, 2, [5], attempt=2)
BATCH = Batch(2, "q", TOPIC, [FIRST])
EVENTS = [
    said(FIRST, 0, JobState.ACCEPTED),
    said(FIRST, 2, JobState.FAILED, error=AGAIN),
    said(FIRST, 0, JobState.SUCCEEDED, result=b"7", result_type="application/json"),
    said(FIRST, 3, JobState.FAILED, error=NEVER),
    said(FIRST, 2, JobState.SUCCEEDED),
]
"""At the offsets from 0 to 4 of the one partition."""


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[StatusEvent]:
    """Give the list of what stands in the response topic, to be added to."""
    contents: list[StatusEvent] = []

    def scan(
        config: KafkaConfig, name: str, start: Sequence[int], *, timeout: float
    ) -> Iterator[list[ck.Message]]:
        assert (config, name, start, timeout) == (CONFIG, TOPIC, [0], 30)
        for offset, each in enumerate(contents):
            yield [cast(ck.Message, Message(each, RecordLocation(TOPIC, 0, offset)))]

    monkeypatch.setattr(ends_module, "scan", scan)
    return contents


def test_first_end_counts(topic: list[StatusEvent]) -> None:
    """A job's first terminal event is its end; other events, and strangers', are none."""
    topic += [*EVENTS, event(JobState.SUCCEEDED, correlation_id=OTHER_JOB)]
    stand = read_ends(CONFIG, BATCH, Reply.EVENTS, 30)
    assert stand.ends == [
        JobEnd(JobState.SUCCEEDED, result=7),
        None,
        JobEnd(JobState.FAILED, error=AGAIN),
        JobEnd(JobState.FAILED, error=NEVER),
    ]
    assert stand.unsettled == [1, 2]
    assert stand.jobs(ended=False) == [FIRST.job_ids()[1]]
    assert stand.jobs(ended=True) == [FIRST.job_ids()[n] for n in (0, 2, 3)]
    assert not stand.was_cancelled


def test_another_round(topic: list[StatusEvent]) -> None:
    """The jobs of a later round have the payloads that were not settled when it began.

    What came of the first round after that decides nothing, and what has failed for good stays so.
    """
    topic += [
        *EVENTS,
        said(FIRST, 1, JobState.SUCCEEDED),
        said(SECOND, 1, JobState.SUCCEEDED, result=b"2", result_type="application/json"),
    ]
    stand = read_ends(CONFIG, BATCH.with_round(SECOND), Reply.EVENTS, 30)
    assert stand.indices == [1, 2]
    assert stand.ends == [
        JobEnd(JobState.SUCCEEDED, result=7),
        None,
        JobEnd(JobState.SUCCEEDED, result=2),
        JobEnd(JobState.FAILED, error=NEVER),
    ]
    assert stand.unsettled == [1]


def test_before_another_round(topic: list[StatusEvent]) -> None:
    """Who looks in order to begin another round looks no further than where it will begin."""
    topic += EVENTS
    stand = read_ends(CONFIG, BATCH, Reply.EVENTS, 30, before=[2])
    assert stand.unsettled == [0, 1, 2, 3]
    assert stand.jobs(ended=True) == [FIRST.job_ids()[2]]


def test_cancelled(topic: list[StatusEvent]) -> None:
    """A cancelled job is no success, and another attempt may bring something."""
    topic.append(said(FIRST, 0, JobState.CANCELLED, message="by alice"))
    stand = read_ends(CONFIG, BATCH, Reply.EVENTS, 30)
    assert stand.was_cancelled
    assert stand.unsettled == [0, 1, 2, 3]
    (end, *_) = stand.ends
    assert end is not None
    assert end.error == JobFailure("cancelled", "by alice")


def test_responses_that_are_gone(topic: list[StatusEvent]) -> None:
    """Where retention has removed an earlier round's ends, nothing is guessed."""
    topic += EVENTS[:2]
    with pytest.raises(RecordGone) as caught:
        read_ends(CONFIG, BATCH.with_round(SECOND), Reply.EVENTS, 30)
    assert str(caught.value) == (
        f"responses to batch {JOB} are no longer in topic 'jobs.responses': its retention is "
        "shorter than the batch takes. Clear the task to begin anew."
    )
