"""The thread that looks after all jobs in flight."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from kafka_bridge.worker.runtime.heartbeats import Heartbeats, pause_after


@pytest.mark.parametrize(
    ("took", "pause"), [(0.0, 0.05), (0.0025, 0.05), (0.005, 0.1), (0.0125, 0.25), (3.0, 0.25)]
)
def test_many_jobs_are_checked_less_often(took: float, pause: float) -> None:
    """A twentieth of the time is for looking, but every job is looked at four times a second."""
    assert pause_after(took) == pytest.approx(pause)


class Job:
    """Counts how often it was looked at."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.looks = 0
        self.again = threading.Event()
        self._seconds = seconds

    def tick(self) -> None:
        """Be looked at, for so long; the first time in vain."""
        self.looks += 1
        time.sleep(self._seconds)
        if self.looks == 1:
            raise RuntimeError("not now")
        self.again.set()


def test_failing_heartbeat_is_retried_and_does_not_stop_others() -> None:
    """A job whose turn failed has another one, and so have those after it."""
    first, second = Job(), Job()
    with contextlib.closing(Heartbeats()) as heartbeats:
        heartbeats.add(first)
        heartbeats.add(second)
        assert first.again.wait(30)
        assert second.again.wait(30)
        heartbeats.remove(second)
    assert first.looks >= 2


def test_slow_rounds_leave_pauses() -> None:
    """Rounds that take 20 ms come four times a second, and not thirty times."""
    slow = Job(0.02)
    with contextlib.closing(Heartbeats()) as heartbeats:
        heartbeats.add(slow)
        assert slow.again.wait(30)
        before, began = slow.looks, time.monotonic()
        while slow.looks < before + 1:
            time.sleep(0.01)
            assert time.monotonic() < began + 30
        assert time.monotonic() - began >= 0.2
