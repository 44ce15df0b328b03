"""The window of records that a reader has just read: what it holds, and what it admits to hold."""

from __future__ import annotations

import gc

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka.responses.recent_records import HEADER_BYTES, RECORD_BYTES, RecentRecords

VALUE = b"v" * 50
HEADERS: dict[str, str | bytes | None] = {"a": b"x" * 10, "b": None}


def records(
    first: int, end: int, *, partition: int = 0, headers: bool = False, value: bytes = VALUE
) -> list[ck.Message]:
    """Return records of a partition, from one offset up to another."""
    return [
        ck.Message(
            topic="t",
            partition=partition,
            offset=offset,
            key=b"k",
            value=value,
            headers=list(HEADERS.items()) if headers else None,
        )
        for offset in range(first, end)
    ]


def window(limit: int = 10**6, start: int = 0) -> RecentRecords:
    """Return a window that begins at an offset of partition 0."""
    made = RecentRecords(limit)
    made.start_at({0: start})
    return made


def offsets(of: RecentRecords) -> list[int]:
    """Return the offsets of what is kept."""
    return [offset for _, _, offset, _, _ in of]


def test_records_are_kept_in_the_order_in_which_they_were_read() -> None:
    """Across batches, with all that a late job needs to know of them."""
    made = window(start=3)
    made.add(records(3, 5), {0: 5})
    made.add(records(5, 6, headers=True), {0: 6})
    assert list(made) == [
        (b"k", 0, 3, VALUE, None),
        (b"k", 0, 4, VALUE, None),
        (b"k", 0, 5, VALUE, (("a", b"x" * 10), ("b", None))),
    ]
    assert made.floor == {0: 3}


def test_oldest_batches_go_when_the_window_is_full() -> None:
    """A job that needs what is gone is not covered any more."""
    made = window(limit=4 * (RECORD_BYTES + len(VALUE)))
    for first in (0, 2, 4):
        made.add(records(first, first + 2), {0: first + 2})
    assert (offsets(made), made.floor) == ([2, 3, 4, 5], {0: 2})
    assert (made.covers([1]), made.covers([2])) == (False, True)


def test_batch_that_is_larger_than_the_window_leaves_it_empty() -> None:
    """It covers what comes after that batch, and nothing before."""
    made = window(limit=2 * RECORD_BYTES)
    made.add(records(0, 3), {0: 3})
    assert (offsets(made), made.floor) == ([], {0: 3})
    made.add(records(3, 4), {0: 4})
    assert offsets(made) == [3]


@pytest.mark.parametrize("headers", [False, True])
def test_window_is_bounded_by_values_and_headers(headers: bool) -> None:
    """Whoever may write to the topic cannot fill the memory with either of them."""
    size = RECORD_BYTES + len(VALUE) + (2 * HEADER_BYTES + 10 if headers else 0)
    made = window(limit=3 * size)
    for offset in range(3):
        made.add(records(offset, offset + 1, headers=headers), {0: offset + 1})
    assert offsets(made) == [0, 1, 2]
    made.limit -= 1
    made.add([], {0: 3})
    assert offsets(made) == [1, 2]


def test_records_cost_the_garbage_collector_nothing() -> None:
    """It forgets all that is kept of them, at one look a level: there may be 200,000 records."""
    made = window()
    made.add(records(0, 3, headers=True), {0: 3})
    for _ in ("header", "headers", "record"):
        gc.collect()
    kept = list(made)
    assert len(kept) == 3
    assert not any(map(gc.is_tracked, kept))


@pytest.mark.parametrize(
    ("wanted", "covered"),
    [
        ([5, 9], True),
        ([7, 12], True),
        ([4, 9], False),
        ([5, 8], False),
        ([5], False),
        ([], False),
        ([5, 9, 0], True),
    ],
)
def test_job_is_covered_if_nothing_of_any_partition_is_missing(
    wanted: list[int], covered: bool
) -> None:
    """Of a partition that it does not know of, a job needs everything."""
    made = RecentRecords()
    made.start_at({0: 5, 1: 9})
    assert made.covers(wanted) is covered


def test_job_without_a_known_partition_is_covered_where_the_window_begins_at_0() -> None:
    """It was submitted before the partition was added, and nothing of that is missing."""
    made = RecentRecords()
    made.start_at({0: 5, 1: 0})
    assert made.covers([5])


def test_nothing_is_covered_before_anything_was_read() -> None:
    """A reader that has just been opened knows nothing of what was published before."""
    assert not RecentRecords().covers([])


def test_window_that_starts_elsewhere_forgets_what_it_held() -> None:
    """The room is free again, too."""
    made = window(limit=2 * (RECORD_BYTES + len(VALUE)))
    made.add(records(0, 2), {0: 2})
    made.start_at({0: 100})
    assert (offsets(made), made.floor) == ([], {0: 100})
    made.add(records(100, 102), {0: 102})
    assert (offsets(made), made.floor) == ([100, 101], {0: 100})
