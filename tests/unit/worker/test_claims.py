"""Requests that wait in a worker."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker import StopReason
from kafka_bridge.worker.claims import BACKLOG_RECORDS, Backlog, Claim, Partition
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.job_run import JobRun
from kafka_bridge.worker.observation import Observer
from kafka_bridge.worker.reporter import JobReporter
from kafka_bridge.worker.standing import Standing

from .samples import Collector, request


def claim(offset: int = 0, partition: Partition | None = None) -> Claim:
    """Return a claim to a request at an offset."""
    received = SimpleNamespace(offset=offset)
    return Claim(
        partition or Partition(1),
        received,  # type: ignore[arg-type]
        request(),
        Encoding.AVRO,
        Standing(30.0),
    )


def backlog_of(*claims: Claim) -> Backlog:
    """Return a backlog that holds these."""
    backlog = Backlog()
    for each in claims:
        backlog.add(each)
    return backlog


def offsets(backlog: Backlog) -> list[int]:
    """Return where the requests lie that it holds."""
    return [each.offset for each in backlog]


def test_those_that_stay_keep_their_order() -> None:
    """All are asked, oldest first, and those that went are gone."""
    backlog, asked = backlog_of(*map(claim, range(6))), list[int]()

    def odd(each: Claim) -> bool:
        asked.append(each.offset)
        return each.offset % 2 == 1

    backlog.sift(odd, until=lambda: False)
    assert (asked, offsets(backlog), len(backlog)) == ([0, 1, 2, 3, 4, 5], [0, 2, 4], 3)


def test_nobody_is_asked_once_it_is_enough() -> None:
    """Those behind stay behind those that were asked and stay."""
    backlog, asked = backlog_of(*map(claim, range(6))), list[int]()

    def odd(each: Claim) -> bool:
        asked.append(each.offset)
        return each.offset % 2 == 1

    backlog.sift(odd, until=lambda: len(asked) == 3)
    assert (asked, offsets(backlog)) == ([0, 1, 2], [0, 2, 3, 4, 5])


def test_requests_of_partitions_that_went_are_forgotten() -> None:
    """By the assignment, not the number: the same partition may have come back meanwhile."""
    old, new = Partition(1), Partition(2)
    backlog = backlog_of(claim(1, old), claim(2, new), claim(3, old))
    backlog.drop([old])
    assert offsets(backlog) == [2]
    backlog.clear()
    assert len(backlog) == 0


def test_full_backlog_is_full_until_half_of_it_is_gone() -> None:
    """To fetch no more and then go on costs more than to hold some: it must not go to and fro."""
    backlog = backlog_of(*map(claim, range(BACKLOG_RECORDS - 1)))
    assert not backlog.is_full
    backlog.add(claim(BACKLOG_RECORDS))
    assert backlog.is_full
    half = BACKLOG_RECORDS // 2
    backlog.sift(lambda _: True, until=lambda: len(backlog) == half)
    assert backlog.is_full
    backlog.sift(lambda _: True, until=lambda: len(backlog) == half - 1)
    assert not backlog.is_full


def test_job_that_is_given_up_says_nothing_more_and_is_told_to_stop() -> None:
    """Its handler's result is another's to say."""
    given_up, collector = claim(), Collector()
    given_up.give_up()  # before anything was said there is nothing to take back
    reporter = given_up.reporter = JobReporter(
        collector, given_up.request, Encoding.AVRO, "w-1", may_speak=lambda: True
    )
    run = given_up.run = JobRun(
        given_up.request,
        Handler.of("a.job", lambda _: "late"),
        reporter,
        Observer(),
        settled=lambda _: pytest.fail("its end is said"),
    )
    reporter.accepted(lambda _: None)
    given_up.give_up()
    assert run.stop.reason is StopReason.LOST
    run.run()
    given_up.tick()
    assert [event.state for event in collector.events] == [JobState.ACCEPTED]
