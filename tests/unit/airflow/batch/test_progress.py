"""A batch's progress in words."""

from __future__ import annotations

from kafka_bridge.airflow.batch.progress import BatchProgress, Tally


def tally(done: int, total: int = 10_000) -> Tally:
    """Return a tally of so many jobs done, eight of which run."""
    return Tally(total, running=8, succeeded=done)


def test_line_has_percent_counts_pace_and_the_time_left() -> None:
    """The first line has no pace yet."""
    progress = BatchProgress()
    assert [progress.line(tally(800 * second), second) for second in (0, 5, 10)] == [
        "0 %: 0 of 10,000 jobs done, 8 running, 9,992 queued",
        "40 %: 4,000 of 10,000 jobs done, 8 running, 5,992 queued – 800/s, 8 s left",
        "80 %: 8,000 of 10,000 jobs done, 8 running, 1,992 queued – 800/s, 2 s left",
    ]


def test_no_line_if_nothing_has_changed() -> None:
    """A batch that stands still does not fill the log."""
    progress = BatchProgress()
    assert progress.line(tally(1), 0) is not None
    assert progress.line(tally(1), 1000) is None
    assert progress.line(tally(2), 1001) is not None


def test_pace_is_that_of_the_last_minute() -> None:
    """An older pace says nothing about the rest."""
    progress = BatchProgress()
    for second, done in ((0, 0), (30, 6000), (70, 6030), (85, 6060)):
        line = progress.line(tally(done), second)
    assert line is not None
    assert line.endswith(" – 1.1/s, 1 h 0 min left")
