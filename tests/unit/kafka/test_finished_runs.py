"""What is finished above the committed offset, as a text for Kafka's commit metadata."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.kafka.finished_runs import (
    MOST_BYTES,
    ConsumedRecord,
    FinishedRuns,
    Run,
    from_metadata,
    to_metadata,
)

BASE = 7_000


@st.composite
def finished(draw: st.DrawFn) -> FinishedRuns:
    """Return runs above an unfinished offset, and a record at their end or after it."""
    at, runs = BASE, list[Run]()
    for unfinished, length in draw(
        st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**7)), max_size=600)
    ):
        runs.append((at + unfinished, at + unfinished + length))
        at = runs[-1][1]
    last = ConsumedRecord(at + draw(st.integers(0, 10**6)), draw(st.integers(0, 2**32 - 1)))
    return FinishedRuns(tuple(runs), last)


def record(offset: int) -> ConsumedRecord:
    """Return some record at an offset."""
    return ConsumedRecord.of(offset, b"a-job", 1_700_000_000_000)


@given(finished())
def test_what_fits_is_read_as_it_was_written(written: FinishedRuns) -> None:
    """Nothing is made up, whatever the size."""
    text = to_metadata(BASE, written)
    assert len(text) <= MOST_BYTES
    read = from_metadata(BASE, text)
    if read is None:
        assert not written.runs
    else:
        assert read.last == written.last
        assert set(read.runs) <= set(written.runs)
        assert read == written or len(text) > MOST_BYTES // 2


def test_a_million_finished_requests_behind_eight_jobs_are_two_numbers() -> None:
    """A person can read the text."""
    last = ConsumedRecord(1_000_007, 3_141_592_653)
    text = to_metadata(0, FinishedRuns(((8, 1_000_008),), last))
    assert text == "kafka-bridge:1:0,1000007,3141592653,8,1000000:a391d0e9"


def test_shortest_runs_are_left_out_where_not_all_fit() -> None:
    """The long ones are worth more, wherever they are."""
    runs = [(at, at + 1) for at in range(1, 4000, 2)] + [(5_000, 900_000), (900_001, 900_500)]
    read = from_metadata(0, to_metadata(0, FinishedRuns(tuple(runs), record(900_600))))
    assert read is not None
    assert read.runs[-2:] == ((5_000, 900_000), (900_001, 900_500))
    assert 100 < len(read.runs) < len(runs)
    only = to_metadata(0, FinishedRuns(tuple(runs), record(900_600)), 58)
    assert from_metadata(0, only) == FinishedRuns(((5_000, 900_000),), record(900_600))
    assert to_metadata(0, FinishedRuns(tuple(runs), record(900_600)), 20) == ""


def test_nothing_is_written_where_nothing_is_finished() -> None:
    """Most commits of a worker with quick jobs have no metadata."""
    assert to_metadata(3, FinishedRuns((), record(500))) == ""
    assert to_metadata(3, FinishedRuns(((5, 6),), record(500))) != ""


GOOD = to_metadata(7, FinishedRuns(((9, 5_009),), record(5_010)))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "a note of another program",
        GOOD[:-1],
        GOOD + "0",
        GOOD.replace("5000", "6000"),
        GOOD.replace(":1:", ":2:"),
        GOOD.upper(),
        GOOD.replace("5000", "5000,1"),
        "kafka-bridge:1:7:00000000",
        "kafka-bridge:1:" + "9," * 40_000 + "9:00000000",
    ],
)
def test_text_of_others_is_not_read(text: str | None) -> None:
    """Other programs commit, too; a text may be damaged, or of a later version."""
    assert from_metadata(7, GOOD) is not None
    assert from_metadata(7, text) is None


def test_text_that_was_copied_beside_another_offset_is_not_read() -> None:
    """MirrorMaker translates the offset of a commit and copies its metadata."""
    assert from_metadata(6, GOOD) is None


@pytest.mark.parametrize(
    ("key", "timestamp_ms"), [(b"another-job", 1_700_000_000_000), (b"a-job", 0), (None, 0)]
)
def test_another_record_at_the_same_offset_is_recognised(
    key: bytes | None, timestamp_ms: int
) -> None:
    """The topic was created again, or has lost its end."""
    assert ConsumedRecord.of(5, key, timestamp_ms) != ConsumedRecord.of(
        5, b"a-job", 1_700_000_000_000
    )


def test_nothing_above_the_last_record_counts() -> None:
    """Without a record there, it would not be noticed that the topic has lost its end."""
    assert FinishedRuns.up_to(record(9), [(2, 4), (4, 4), (4, 6), (8, 20), (30, 40)]).runs == (
        (2, 6),
        (8, 10),
    )
