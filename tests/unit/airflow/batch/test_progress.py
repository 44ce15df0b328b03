"""A batch's progress in words."""

from __future__ import annotations

from kafka_bridge.airflow.batch.progress import BatchProgress
from kafka_bridge.airflow.batch.timeouts import Tally


def tally(done: int, total: int = 10_000) -> Tally:
    """Return a tally of so many jobs done, eight of which run."""
    return Tally(total, running=8, succeeded=done)


def test_lines() -> None:
    """Percent, counts, pace, and how long the rest will take."""
    progress = BatchProgress()
    assert [progress.line(tally(800 * second), second) for second in (0, 5, 10)] == [
        "0 %: 0 of 10,000 jobs done, 8 running, 9,992 queued",
        "40 %: 4,000 of 10,000 jobs done, 8 running, 5,992 queued – 800/s, 8 s left",
        "80 %: 8,000 of 10,000 jobs done, 8 running, 1,992 queued – 800/s, 2 s left",
    ]


def test_silence_is_not_logged() -> None:
    """Where nothing has changed there is nothing to say."""
    progress = BatchProgress()
    assert progress.line(tally(1), 0) is not None
    assert progress.line(tally(1), 1000) is None
    assert progress.line(tally(2), 1001) is not None


def test_pace_is_that_of_the_last_minute() -> None:
    """A batch that has slowed down says so: an old pace promises nothing."""
    progress = BatchProgress()
    for second, done in ((0, 0), (30, 6000), (70, 6030), (85, 6060)):
        line = progress.line(tally(done), second)
    assert line is not None
    assert line.endswith(" – 1.1/s, 1 h 0 min left")
