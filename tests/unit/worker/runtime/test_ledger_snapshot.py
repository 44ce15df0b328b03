"""What a snapshot of the ledger keeps, however much was written to the response topic."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.kafka.lookups import job_events
from kafka_bridge.protocol.checkpoint import CHECKPOINT
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState, StatusEvent, utc_now
from kafka_bridge.worker.runtime import ledger_snapshot as page_module
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, read_snapshot

CONFIG: Any = None


def record(job: str, state: JobState, at: int = 0, key: bytes | None = None, **fields: Any) -> Any:
    """Return an event as it lies in the topic, written at so many seconds since 1970."""
    event = StatusEvent(
        correlation_id=job,
        event_id="e-1",
        sequence=fields.pop("sequence", 0),
        state=state,
        occurred_at=utc_now(),
        worker_id="w-1",
        **fields,
    )
    value = encode(event, Encoding.AVRO)
    key = key or job.encode()
    return SimpleNamespace(key=lambda: key, value=lambda: value, timestamp=lambda: (1, at * 1000))


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give the records of a topic with one partition, to be filled."""
    records: list[Any] = []

    def scan(
        _config: object, _topic: str, start: Sequence[int], *, until: Sequence[int], **_: object
    ) -> Iterator[list[Any]]:
        yield records[start[0] : until[0] if until else len(records)]

    def offsets_since(_: object, _topic: str, moment: datetime, **__: object) -> list[int]:
        milliseconds = moment.timestamp() * 1000
        return [sum(each.timestamp()[1] < milliseconds for each in records)]

    monkeypatch.setattr(job_events, "scan", scan)
    monkeypatch.setattr(page_module, "offsets_since", offsets_since)
    return records


def read(asked: frozenset[bytes] = frozenset()) -> LedgerSnapshot:
    """Read it."""
    return read_snapshot(CONFIG, "answers", 0.0, 1, asked)


@pytest.mark.parametrize("size", [10, 2_000])
def test_of_an_unfinished_job_only_facts_are_kept(topic: list[Any], size: int) -> None:
    """Short events and long ones: the last one's sequence and external id, and nothing of it."""
    job = new_correlation_id()
    topic.append(record(job, JobState.RUNNING, sequence=3, external_id="x-1"))
    topic.append(record(job, JobState.RUNNING, sequence=4, external_id="x-2", message="m" * size))
    (known,) = read().unfinished.values()
    assert (known.delivery, known.sequence, known.external_id) == (1, 4, "x-2")
    kept = [getattr(known, name) for name in known.__slots__]
    assert sum(map(sys.getsizeof, kept)) < 500


def test_released_job_differs_from_a_running_one(topic: list[Any]) -> None:
    """By the last event of its last delivery."""
    released, again = new_correlation_id(), new_correlation_id()
    topic += [record(job, JobState.RELEASED) for job in (released, again)]
    topic.append(record(again, JobState.ACCEPTED, delivery=2))
    found = {job.decode(): known.is_released for job, known in read().unfinished.items()}
    assert found == {released: True, again: False}


def test_external_id_that_is_too_long_is_ignored(topic: list[Any]) -> None:
    """Half of it would be the name of something else."""
    topic.append(record(new_correlation_id(), JobState.RUNNING, external_id="x" * 100_000))
    (known,) = read().unfinished.values()
    assert known.external_id is None


def test_external_id_outlives_a_worker_that_does_not_repeat_it(topic: list[Any]) -> None:
    """What is done elsewhere goes on, whoever has the job next."""
    job = new_correlation_id()
    topic.append(record(job, JobState.RUNNING, external_id="batch-7"))
    topic.append(record(job, JobState.ACCEPTED, delivery=2))
    (known,) = read().unfinished.values()
    assert (known.delivery, known.external_id) == (2, "batch-7")
    earlier, later = read(), read()
    (before,), (after,) = earlier.unfinished.values(), later.unfinished.values()
    after.external_id = None
    assert after.with_earlier(before).external_id == "batch-7"


def saved(job: str, text: str, **fields: Any) -> Any:
    """Return an event with a checkpoint."""
    return record(job, JobState.RUNNING, attributes={CHECKPOINT: text}, **fields)


@pytest.mark.parametrize("size", [10, 2_000])
def test_checkpoint_outlives_a_worker_that_does_not_know_checkpoints(
    topic: list[Any], size: int
) -> None:
    """It repeats none, and clears none; events of an older delivery change nothing."""
    job = new_correlation_id()
    topic += [saved(job, "1"), saved(job, "2", message="m" * size)]
    topic += [record(job, JobState.ACCEPTED, delivery=2), saved(job, "3")]
    topic.append(record(job, JobState.RUNNING, delivery=2, message="of a checkpoint " + "m" * size))
    (known,) = read().unfinished.values()
    assert (known.checkpoint, known.delivery) == ("2", 2)


def test_checkpoint_that_was_cleared_or_is_too_long_is_none(topic: list[Any]) -> None:
    """The cleared one is told to later workers; the long one is ignored as if it were not there."""
    cleared, long = new_correlation_id(), new_correlation_id()
    topic += [saved(cleared, "1"), saved(cleared, "null"), saved(long, '"' + "ä" * 2_000 + '"')]
    found = {job.decode(): known.checkpoint for job, known in read().unfinished.items()}
    assert found == {cleared: "null", long: None}


def test_snapshot_holds_few_bytes_of_checkpoints_and_those_of_the_requested_jobs(
    topic: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with too many jobs: of the jobs that are left out, each is read when it is asked for."""
    monkeypatch.setattr(page_module, "MOST_CHECKPOINT_BYTES", 10_000)
    jobs = [new_correlation_id() for _ in range(40)]
    texts = [f'"{number:03000}"' for number in range(40)]
    for at, (job, text) in enumerate(zip(jobs, texts, strict=True)):
        topic += [saved(job, text, at=1_000 * at)] * 2
        if at >= 10:
            topic.append(record(jobs[at - 1], JobState.SUCCEEDED, at=1_000 * at))
    asked = frozenset(job.encode() for job in jobs[:5])
    snapshot = read(asked)
    held = [job for job in jobs if job.encode() in snapshot.unfinished]
    assert held == [*jobs[:5], jobs[8], jobs[39]]
    assert [snapshot.unfinished[job.encode()].checkpoint for job in held[:5]] == texts[:5]
    assert snapshot.is_cut


def test_record_whose_key_is_not_a_job_is_ignored(topic: list[Any]) -> None:
    """A key may be as long as a record: it is not kept as a job's id."""
    topic.append(record(new_correlation_id(), JobState.SUCCEEDED, key=b"k" * 900_000))
    assert len(read().finished) == 0


@pytest.mark.parametrize(
    ("state", "limit"),
    [(JobState.SUCCEEDED, "MOST_FINISHED"), (JobState.RUNNING, "MOST_UNFINISHED")],
)
def test_snapshot_holds_a_limited_number_of_jobs_and_the_requested_ones(
    topic: list[Any], monkeypatch: pytest.MonkeyPatch, state: JobState, limit: str
) -> None:
    """Of requests that are older than what it holds, it knows only those that were asked for."""
    monkeypatch.setattr(page_module, limit, 4)
    jobs = [new_correlation_id() for _ in range(10)]
    topic += [record(job, state, at=1_000 * number) for number, job in enumerate(jobs)]
    asked = frozenset({jobs[0].encode()})
    snapshot = read(asked)
    held = [
        job
        for job in jobs
        if job.encode() in snapshot.finished or job.encode() in snapshot.unfinished
    ]
    assert held[0] == jobs[0]
    assert held[1:] == jobs[1 - len(held) :], "the last ones"
    assert 2 <= len(held[1:]) <= 4
    assert snapshot.is_cut
    now = utc_now()
    assert snapshot.covers(now, 1)
    old = now.fromtimestamp(100, now.tzinfo)
    assert snapshot.covers(old, 1, jobs[0].encode())
    assert not snapshot.covers(old, 1, jobs[1].encode())


def test_event_that_comes_after_the_end_does_not_open_the_job_again(topic: list[Any]) -> None:
    """A worker that was frozen has sent it."""
    job = new_correlation_id()
    topic += [record(job, state) for state in (JobState.SUCCEEDED, JobState.RUNNING)]
    snapshot = read()
    assert job.encode() in snapshot.finished
    assert not snapshot.unfinished


STATES = [
    JobState.ACCEPTED,
    JobState.RUNNING,
    JobState.RUNNING,
    JobState.RELEASED,
    JobState.SUCCEEDED,
]


@pytest.mark.parametrize("seed", range(20))
def test_two_adjacent_readings_know_what_one_would(topic: list[Any], seed: int) -> None:
    """A job may have been released before and begun after, or end before its last heartbeat."""
    chance = random.Random(seed)
    jobs = [new_correlation_id() for _ in range(30)]
    topic += [
        record(
            chance.choice(jobs),
            chance.choice(STATES),
            at,
            delivery=chance.randint(1, 4),
            sequence=at,
            external_id=f"their-{at}",
            attributes={CHECKPOINT: str(at)} if chance.random() < 0.4 else {},
        )
        for at in range(120)
    ]
    whole, late = (read_snapshot(CONFIG, "answers", since, 1) for since in (0.0, 60.0))
    split = read_snapshot(CONFIG, "answers", 0.0, 1, later=late)
    assert late.records + split.records == whole.records, "nothing is read twice"
    assert (split.since, split.epoch, split.starts) == (0.0, 1, [0])
    assert [job.encode() in split.finished for job in jobs] == [
        job.encode() in whole.finished for job in jobs
    ]
    assert facts(split) == facts(whole)
    assert facts(whole)


def facts(snapshot: LedgerSnapshot) -> dict[bytes, tuple[object, ...]]:
    """Return all that is known of the unfinished jobs."""
    return {
        job: (
            each.delivery,
            each.released,
            each.is_released,
            each.external_id,
            each.sequence,
            each.checkpoint,
        )
        for job, each in snapshot.unfinished.items()
    }
