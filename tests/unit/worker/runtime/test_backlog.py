"""Requests that wait in a worker, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.backlog import BACKLOG_RECORDS, LANE_RECORDS, Backlog
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.partition import Partition

from ..samples import queued_job, request

HANDLERS = {
    "a.job": Handler.of("a.job", lambda _: None),
    "narrow": Handler.of("narrow", lambda _: None, concurrency=5),
}


def job(offset: int, job_type: str = "a.job", **fields: Any) -> InFlightJob:
    """Return a queued job whose request has an offset."""
    return queued_job(replace(request(), job_type=job_type), offset, **fields)


def backlog_of(*jobs: InFlightJob) -> Backlog:
    """Return a backlog that holds these."""
    backlog = Backlog(HANDLERS)
    for each in jobs:
        backlog.add(each)
    return backlog


def test_waiting_jobs_are_counted_by_type_with_the_oldest() -> None:
    """In all lanes, and those that are not decided yet."""
    narrow, late = job(2, "narrow"), job(4)
    found = backlog_of(job(1), narrow, job(3))
    hour_ago = late.request.created_at - timedelta(hours=1)
    late.request = replace(late.request, created_at=hour_ago)
    found.undecided.append(late)
    made = narrow.request.created_at
    assert found.waiting() == {"a.job": (3, hour_ago), "narrow": (1, made)}


def offsets(backlog: Backlog) -> list[int]:
    """Return where the requests lie that it holds."""
    return [each.offset for each in backlog]


def sift(
    backlog: Backlog,
    goes: Callable[[InFlightJob], bool] = lambda _: True,
    *,
    until: Callable[[list[int]], bool] = lambda _: False,
    is_open: bool = True,
) -> list[int]:
    """Sift, and return the offsets of those that were asked."""
    asked: list[int] = []

    def ask(each: InFlightJob) -> bool:
        asked.append(each.offset)
        return goes(each)

    backlog.sift(ask, until=lambda: until(asked), is_open=lambda _: is_open)
    return asked


def is_odd(each: InFlightJob) -> bool:
    """Tell whether a request lies at an odd offset."""
    return each.offset % 2 == 1


def test_jobs_that_stay_queued_keep_their_order() -> None:
    """All are asked, oldest first, and those that went are gone."""
    backlog = backlog_of(*map(job, range(6)))
    assert sift(backlog, is_odd) == [0, 1, 2, 3, 4, 5]
    assert (offsets(backlog), len(backlog)) == ([0, 2, 4], 3)


def test_no_job_is_visited_after_the_condition_holds() -> None:
    """Those behind stay behind those that were asked and stay."""
    backlog = backlog_of(*map(job, range(6)))
    assert sift(backlog, is_odd, until=lambda asked: len(asked) == 3) == [0, 1, 2]
    assert offsets(backlog) == [0, 2, 3, 4, 5]


def test_jobs_that_had_begun_elsewhere_go_first() -> None:
    """Whatever its lane, and it keeps its place in front where it has to wait."""
    backlog = backlog_of(
        job(0),
        job(1, "narrow"),
        job(2, began_elsewhere=True),
        job(3, "narrow", began_elsewhere=True),
    )
    assert sift(backlog, lambda _: False) == [2, 3, 0, 1]
    assert sift(backlog) == [2, 3, 0, 1]


def test_type_without_a_free_slot_delays_no_other_type() -> None:
    """None of it is asked; the others are, in the order in which they came."""
    backlog = backlog_of(job(0, "narrow"), job(1), job(2, "narrow"), job(3))
    assert sift(backlog, is_open=False) == [1, 3]
    backlog.add(job(4))
    assert sift(backlog) == [0, 2, 4]


def test_full_lane_of_one_type_does_not_fill_the_backlog() -> None:
    """What fills the lane of one type does not fill the backlog: others are fetched."""
    backlog = backlog_of(*(job(number, "narrow") for number in range(LANE_RECORDS)))
    lane = backlog.lane("narrow")
    assert (lane.has_room, lane.is_half_empty, backlog.is_full) == (False, False, False)
    sift(backlog, until=lambda asked: len(asked) == LANE_RECORDS // 2 + 1)
    assert (lane.has_room, lane.is_half_empty) == (True, True)


def test_lane_of_a_batch_handler_holds_two_batches() -> None:
    """However large they are: a queue makes full batches."""
    batches = {"texts": Handler.of("texts", lambda _: [], batch=LANE_RECORDS)}
    assert Backlog(batches).lane("texts").limit == 2 * LANE_RECORDS


def test_jobs_of_revoked_partitions_are_removed() -> None:
    """By the assignment, not the number: the same partition may have come back meanwhile."""
    old, new = Partition(0, 1), Partition(0, 2)
    backlog = backlog_of(
        job(1, partition=old), job(2, partition=new), job(3, "narrow", partition=old)
    )
    backlog.undecided.append(job(4, partition=old))
    backlog.drop([old])
    assert offsets(backlog) == [2]
    backlog.undecided.append(job(5, partition=new))
    backlog.clear_lanes()
    assert offsets(backlog) == [5]


def test_full_backlog_stays_full_until_it_is_half_empty() -> None:
    """To fetch no more and then go on costs more than to hold some: it must not go to and fro."""
    backlog = backlog_of(*map(job, range(BACKLOG_RECORDS - 1)))
    assert not backlog.is_full
    backlog.add(job(BACKLOG_RECORDS))
    assert backlog.is_full
    half = BACKLOG_RECORDS // 2
    sift(backlog, until=lambda _: len(backlog) == half)
    assert backlog.is_full
    sift(backlog, until=lambda _: len(backlog) == half - 1)
    assert not backlog.is_full
