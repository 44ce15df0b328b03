"""Whether a worker may publish: not after half a session without a poll, until it is confirmed."""

from __future__ import annotations

from kafka_bridge.testing.fakes import FakeClock
from kafka_bridge.worker.runtime import membership
from kafka_bridge.worker.runtime.membership import Membership
from unit.clocks import clock_of

SESSION = 30.0
SURE = 15.0
"""The group's own time may be over by a heartbeat interval sooner than this side's."""


clock = clock_of(membership)


def test_worker_that_polls_may_publish(clock: FakeClock) -> None:
    """As long as no gap is longer than half the session."""
    worker = Membership(SESSION)
    for _ in range(3):
        clock.now += SURE
        assert worker.may_publish()
        assert worker.seconds_since_poll == SURE
        worker.about_to_poll()
    assert not worker.in_doubt


def test_worker_that_was_frozen_may_not_publish_until_confirmed(clock: FakeClock) -> None:
    """Not before it polls, and not when it has polled: the answer may not be there yet."""
    worker = Membership(SESSION)
    clock.now += SURE + 0.001
    assert not worker.may_publish()
    worker.about_to_poll()
    assert worker.in_doubt
    worker.about_to_poll()
    assert not worker.may_publish()
    worker.confirmed()
    assert worker.may_publish()


def test_confirmation_does_not_outlast_another_silence(clock: FakeClock) -> None:
    """That the group knew this member once says nothing after another silence."""
    worker = Membership(SESSION)
    worker.about_to_poll()
    worker.confirmed()
    clock.now += SURE + 1
    assert not worker.may_publish()


def test_each_gap_is_a_doubt_of_its_own(clock: FakeClock) -> None:
    """So that no answer to an earlier question ends it."""
    worker = Membership(SESSION)
    assert worker.doubts == 0
    for doubt in (1, 2):
        clock.now += SESSION + 0.1
        worker.about_to_poll()
        assert worker.doubts == doubt
