"""How a job is told to stop."""

from __future__ import annotations

import threading
import time

import pytest

from kafka_bridge.worker import JobStopped, StopReason
from kafka_bridge.worker.cancellation import StopSignal


def test_first_stop_reason_stays() -> None:
    """A cancelled job stays cancelled when its deadline passes, and listeners hear once."""
    stop, heard = StopSignal(), list[int]()
    stop.listen(lambda: heard.append(1))
    stop.set(StopReason.CANCELLED, "cleared")
    stop.set(StopReason.DEADLINE, "too late")
    assert (stop.reason, stop.message, heard) == (StopReason.CANCELLED, "cleared", [1])


def test_late_listener_is_notified_at_once() -> None:
    """There is no moment in which a stop could be missed."""
    stop, heard = StopSignal(), list[int]()
    stop.set(StopReason.LOST, "gone")
    stop.listen(lambda: heard.append(1))
    assert heard == [1]


def test_job_stopped_passes_except_exception() -> None:
    """With reason and words; and nothing while the job may go on."""
    stop = StopSignal()
    stop.check()
    stop.set(StopReason.RELEASED, "the worker shuts down")
    with pytest.raises(JobStopped, match="the worker shuts down") as caught:
        stop.check()
    assert caught.value.reason is StopReason.RELEASED
    assert not isinstance(caught.value, Exception)


def test_stop_request_ends_a_wait() -> None:
    """It does not sleep on; without a stop it sleeps as long as it was told to."""
    stop = StopSignal()
    before = time.monotonic()
    stop.wait(0.1)
    assert time.monotonic() - before >= 0.1
    threading.Timer(0.1, stop.set, (StopReason.CANCELLED, "cleared")).start()
    with pytest.raises(JobStopped):
        stop.wait(60)
    assert time.monotonic() - before < 30
