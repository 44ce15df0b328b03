"""Which offset may be committed while the jobs of a partition finish out of order."""

from __future__ import annotations

from hypothesis import given, seed
from hypothesis import strategies as st

from kafka_bridge.kafka.consumer import Position
from kafka_bridge.kafka.finished_runs import (
    ConsumedRecord,
    FinishedRuns,
    Run,
    from_metadata,
)
from kafka_bridge.worker.runtime.partition import OffsetTracker


def taken(*offsets: int) -> OffsetTracker:
    """Return positions that have taken these offsets."""
    positions = OffsetTracker()
    for offset in offsets:
        positions.consume(offset)
    return positions


def moved(offsets: OffsetTracker) -> int | None:
    """Return the offset to commit, None where nothing has moved."""
    position = offsets.moved()
    return None if position is None else position.offset


def test_nothing_is_committed_before_something_is_consumed() -> None:
    """A fresh assignment has nothing to say: Kafka's own committed offset stays."""
    assert moved(OffsetTracker()) is None


def test_unfinished_job_is_delivered_again_after_a_crash() -> None:
    """While the first job runs, its own offset is all that may be committed."""
    positions = taken(7, 8, 9)
    positions.finish(8)
    positions.finish(9)
    assert moved(positions) == 7
    positions.finish(7)
    assert moved(positions) == 10


def test_skipped_offsets_are_committed_after_what_lies_before_them() -> None:
    """An unreadable batch counts as done; a job before it that still runs is not passed."""
    positions = taken(3)
    positions.jump_to(10)
    assert moved(positions) == 3
    positions.finish(3)
    assert moved(positions) == 10
    positions.jump_to(5)
    assert moved(positions) is None
    untouched = OffsetTracker()
    untouched.jump_to(4)
    assert moved(untouched) == 4


def test_same_offset_is_not_committed_twice() -> None:
    """What has not moved is not sent to the brokers again."""
    positions = taken(3)
    positions.finish(3)
    assert moved(positions) == 4
    assert moved(positions) is None


def test_gaps_between_offsets_do_not_stop_commits() -> None:
    """Transaction markers take offsets: what follows a gap commits past it."""
    positions = taken(3, 10)
    positions.finish(3)
    assert moved(positions) == 10
    positions.finish(10)
    assert moved(positions) == 11


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Return takes of growing offsets and finishes of taken ones, in any order, all finished."""
    offsets = sorted(draw(st.sets(st.integers(0, 200), min_size=1, max_size=12)))
    waiting, running, steps = list(offsets), list[int](), list[tuple[str, int]]()
    while waiting or running:
        if waiting and (not running or draw(st.booleans())):
            running.append(waiting.pop(0))
            steps.append(("take", running[-1]))
        else:
            steps.append(("finish", running.pop(draw(st.integers(0, len(running) - 1)))))
    return steps


@seed(20260301)
@given(lives(), st.data())
def test_committed_offset_is_safe_whatever_the_order(
    steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    """It never passes an unfinished offset, never goes back, and ends after the last one."""
    positions = OffsetTracker()
    unfinished: set[int] = set()
    committed = -1
    for what, offset in steps:
        if what == "take":
            positions.consume(offset)
            unfinished.add(offset)
        else:
            positions.finish(offset)
            unfinished.remove(offset)
        if data.draw(st.booleans(), label="commit now"):
            position = moved(positions)
            if position is not None:
                assert position <= min(unfinished, default=position)
                assert position > committed
                committed = position
    final = moved(positions)
    assert (committed if final is None else final) == max(offset for _, offset in steps) + 1


def test_skipped_request_is_delivered_again_after_a_crash() -> None:
    """Nothing behind it is committed until it was read again and is finished."""
    positions = taken(3)
    positions.skip(3, "slow")
    positions.consume(4)
    positions.finish(4)
    assert (positions.skipped, moved(positions)) == (1, 3)
    assert positions.read_again(3, "slow")
    assert (positions.skipped, positions.position) == (0, 3)
    positions.finish(3)
    assert moved(positions) == 5


def test_skipped_requests_of_a_lane_are_read_again_in_order() -> None:
    """What belongs to another lane, or was never passed over, is not taken back."""
    positions = taken(*range(6))
    for offset, lane in ((0, "a"), (1, "b"), (2, "a"), (4, "a")):
        positions.skip(offset, lane)
    assert sorted(positions.lanes_with_skipped) == ["a", "b"]
    back = [offset for offset in range(6) if positions.read_again(offset, "a")]
    assert back == [0, 2, 4]
    assert positions.first_skipped("a") is None
    assert positions.first_skipped("b") == 1


def test_skipped_request_that_was_deleted_does_not_stop_commits() -> None:
    """The topic's retention may end before its turn comes: those behind it come back first."""
    positions = taken(7, 8, 9)
    positions.skip(7, "slow")
    positions.skip(8, "slow")
    positions.finish(9)
    assert positions.read_again(8, "slow")
    positions.finish(8)
    assert moved(positions) == 10


def test_only_a_later_request_may_be_skipped() -> None:
    """Whoever reads again has gone past what lies before."""
    positions = taken(5, 6, 7)
    positions.skip(6, "slow")
    assert positions.may_skip(7, "slow")
    assert not positions.may_skip(5, "slow")
    assert positions.may_skip(5, "other")


def finished_before(*runs: Run, last: int = 100_000) -> OffsetTracker:
    """Return positions of a worker that has found these runs in the last commit."""
    return OffsetTracker(FinishedRuns(runs, ConsumedRecord(last, 0)))


def consume(positions: OffsetTracker, *offsets: int) -> list[int]:
    """Have records arrive, and return the offsets of those that have to be consumed."""
    consumed = [offset for offset in offsets if not positions.passes(offset)]
    for offset in consumed:
        positions.consume(offset)
    positions.note_last(ConsumedRecord(offsets[-1], 0))
    return consumed


def test_commit_says_what_is_finished_above_the_oldest_unfinished_request() -> None:
    """One that was skipped is not finished, nor is one that runs."""
    positions = OffsetTracker()
    consume(positions, *range(9_000))
    for offset in range(9_000):
        if offset not in (0, 5, 5_000):
            positions.finish(offset)
    positions.skip(5, "slow")
    position = positions.moved()
    assert position is not None
    finished = from_metadata(*position)
    assert finished is not None
    assert (position.offset, finished.runs) == (0, ((1, 5), (6, 5_000), (5_001, 9_000)))
    assert positions.moved() is None, "nothing has changed"
    positions.finish(5_000)
    assert positions.moved() is not None, "the offset has not moved, but more is finished"


def test_nothing_behind_very_many_unfinished_requests_is_searched() -> None:
    """The search takes time, in each commit."""
    positions = OffsetTracker()
    consume(positions, *range(100_000))
    for offset in range(99_000):
        positions.skip(offset, "slow")
    for offset in range(99_000, 100_000):
        positions.finish(offset)
    assert positions.moved() == Position(0)


def test_what_an_earlier_commit_has_is_not_consumed_and_is_committed_again() -> None:
    """Also before the consumer gets there: the next worker must not know less."""
    positions = finished_before((1, 3), (5, 5_000), last=6_000)
    assert consume(positions, 0) == [0]
    assert positions.finished == FinishedRuns(((1, 3), (5, 5_000)), ConsumedRecord(6_000, 0))
    assert consume(positions, 1, 2, 3, 4, 5, 6) == [3, 4]
    positions.finish(3)
    assert positions.finished is not None
    assert positions.finished.runs == ((1, 4), (5, 5_000))
    positions.finish(0)
    assert positions.position == 4
    positions.finish(4)
    assert positions.position == 5_000
    assert consume(positions, 5_000, 7_000) == [5_000, 7_000]
    assert positions.finished is not None
    assert positions.finished.last.offset == 7_000


def test_long_run_is_sought_over_once() -> None:
    """A seek that has failed is tried again where the records of the run arrive."""
    positions = finished_before((1, 50_000), (50_001, 50_002))
    assert positions.seek() is None, "nothing has arrived"
    consume(positions, 0)
    assert [positions.seek(), positions.seek()] == [50_000, None]
    assert consume(positions, 1, 2) == []
    assert [positions.seek(), positions.seek()] == [50_000, None]
    assert consume(positions, 50_000, 50_001, 50_002) == [50_000, 50_002]
    assert positions.seek() is None


def test_short_run_is_not_sought_over() -> None:
    """It has arrived by then."""
    positions = finished_before((1, 500))
    consume(positions, 0)
    assert positions.seek() is None


def test_offsets_that_go_back_end_what_an_earlier_commit_has() -> None:
    """The topic has lost records: others may get their offsets."""
    positions = finished_before((5, 500))
    assert consume(positions, 4, 5) == [4]
    assert consume(positions, 2, 3, 6) == [2, 3, 6]


def test_commit_says_from_ten_finished_requests_on_which_ones_they_are() -> None:
    """Airflow tells by them how many jobs are before one that is queued."""
    positions = OffsetTracker()
    consume(positions, *range(12))
    for offset in range(1, 10):
        positions.finish(offset)
    assert positions.moved() == Position(0)
    positions.finish(10)
    position = positions.moved()
    assert position is not None
    finished = from_metadata(*position)
    assert finished is not None
    assert (position.offset, finished.runs) == (0, ((1, 11),))
