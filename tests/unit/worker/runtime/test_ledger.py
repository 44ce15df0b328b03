"""What a snapshot of the ledger holds for."""

from __future__ import annotations

import math
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW
from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.worker.runtime.ledger import OWN_JOBS, Ledger
from kafka_bridge.worker.runtime.ledger_snapshot import (
    FAILURE_SECONDS,
    LedgerSnapshot,
    Unfinished,
)

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
SKEW = CLOCK_SKEW
MOMENT = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("created_at", "epoch", "covered"),
    [
        (SINCE + SKEW, 3, True),
        (SINCE + SKEW + timedelta(days=1), 3, True),
        (SINCE + SKEW, 2, True),
        (SINCE + SKEW - MOMENT, 3, False),
        (SINCE, 3, False),
        (SINCE + SKEW, 4, False),
    ],
)
def test_snapshot_covers_requests_of_its_time_and_assignment(
    created_at: datetime, epoch: int, covered: bool
) -> None:
    """Others' clocks may differ; a partition that came later may bring what it missed."""
    assert LedgerSnapshot(SINCE.timestamp(), epoch=3).covers(created_at, epoch) is covered


def test_failure_to_read_counts_for_a_while_and_for_all_requests() -> None:
    """A topic that is missing is not asked for again at once, and is asked for later."""
    failed = LedgerSnapshot(SINCE.timestamp(), epoch=1, failure=TopicNotFound("no such topic"))
    assert failed.covers(SINCE - SKEW, epoch=9)
    before = LedgerSnapshot(
        SINCE.timestamp(),
        epoch=1,
        failure=TopicNotFound("no such topic"),
        read_at=failed.read_at - FAILURE_SECONDS,
    )
    assert not before.covers(SINCE + 2 * SKEW, epoch=1)


@pytest.mark.parametrize(
    ("delivery", "released", "interrupted"), [(0, 0, 0), (3, 0, 3), (3, 2, 1), (3, 3, 0), (1, 2, 0)]
)
def test_released_deliveries_do_not_count_as_interrupted(
    delivery: int, released: int, interrupted: int
) -> None:
    """Nor is anything below none: a delivery's number may repeat, and be released twice."""
    assert Unfinished(delivery, released).interrupted == interrupted


def test_ledger_remembers_a_limited_number_of_its_own_jobs(ledger: Ledger) -> None:
    """The oldest go first, so that memory does not grow with the life of a worker."""
    jobs = [str(uuid.UUID(int=number)) for number in range(OWN_JOBS + 1)]
    for job in jobs:
        ledger.finished_here(job)
    assert not ledger.is_finished_here(jobs[0])
    assert all(ledger.is_finished_here(job) for job in jobs[OWN_JOBS // 2 :: 1000])
    assert ledger.is_finished_here(jobs[-1])


def test_topic_is_read_later_if_there_is_no_thread_for_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit of threads ends no worker: it logs the error, and tries again after a pause."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    ledger.read("answers", [(0.0, b"job")], 1, lambda _: pytest.fail("nothing was read"))
    assert "Reading response topic answers failed; retrying: can't start" in caplog.text
    assert (ledger.is_reading, ledger.may_read("answers")) == (False, False)
    monkeypatch.setattr(time, "monotonic", lambda: math.inf)
    assert ledger.may_read("answers")


@pytest.fixture
def ledger() -> Ledger:
    """Give a ledger that reads nothing."""
    return Ledger(None, None, None, call_soon=lambda _: None)  # type: ignore[arg-type]
