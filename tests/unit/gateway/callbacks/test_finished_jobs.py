"""What a receiver knows of finished jobs."""

from __future__ import annotations

from kafka_bridge.gateway.callbacks.finished_jobs import FinishedJobs, Seen


def test_final_callback_is_recognised() -> None:
    """Of a finished job, the callback that ended it is known; the first one counts."""
    ended = FinishedJobs()
    assert ended.seen("a", b"end") is Seen.NOTHING
    ended.add("a", b"end")
    ended.add("a", b"another end")
    assert ended.seen("a", b"end") is Seen.SAME
    assert ended.seen("a", b"another end") is Seen.OTHER
    assert ended.seen("b", b"end") is Seen.NOTHING


def test_memory_is_limited() -> None:
    """The oldest jobs are removed first."""
    ended = FinishedJobs(limit=10)
    for number in range(25):
        ended.add(str(number), b"end")
    known = [number for number in range(25) if ended.seen(str(number), b"end") is Seen.SAME]
    assert known == list(range(15, 25))
