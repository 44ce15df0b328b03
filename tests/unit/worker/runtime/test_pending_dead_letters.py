"""Requests that go to the dead-letter topic as soon as this worker is certainly a member."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.protocol.errors import Undecodable
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.mailbox import Mailbox
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.pending_dead_letters import MAX_WAITING, PendingDeadLetters
from kafka_bridge.worker.runtime.slots import Slots

ERROR = Undecodable("not a request")


class Sink:
    """The dead-letter topic: ``happened`` has what was written to it, and who was notified."""

    def __init__(self) -> None:
        self.is_full = False
        self.happened: list[tuple[str, Any]] = []
        self.acknowledge: list[Callable[[], None]] = []

    def write(self, record: Any, error: BaseException, done: Callable[[], None]) -> None:
        """Take a request, to be acknowledged later."""
        assert error is ERROR
        self.happened.append(("written", record))
        self.acknowledge.append(done)

    def notify_sender(self, record: Any, error: Exception) -> None:
        """Take the failure of a task."""
        assert error is ERROR
        self.happened.append(("notified", record))


class Stage:
    """Dead letters of a worker with partition 0; ``settled`` has what became of each of them."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.membership = Membership(30.0)
        self.mailbox = Mailbox()
        heartbeats: Any = SimpleNamespace()
        call_soon = self.mailbox.call_soon
        self.assignment = Assignment(Observer(), heartbeats, Slots(1), call_soon)
        self.assignment.assigned([0])
        self.letters = PendingDeadLetters(self.sink, self.assignment, self.membership, call_soon)
        self.settled: list[tuple[str, int]] = []

    def put(self, number: int, **options: Any) -> None:
        """Put a request of partition 0, named by its number."""
        received: Any = SimpleNamespace(record=number)
        self.letters.put(
            self.assignment.partitions[0],
            received,
            ERROR,
            done=lambda: self.settled.append(("done", number)),
            lost=lambda: self.settled.append(("lost", number)),
            **options,
        )


@pytest.fixture
def stage() -> Stage:
    """Give the dead letters of a worker."""
    return Stage()


def test_dead_letter_is_done_on_the_polling_thread_once_it_is_acknowledged(stage: Stage) -> None:
    """Not before: the request's offset is committed then. The brokers' thread decides nothing."""
    stage.put(1)
    assert stage.sink.happened == [("written", 1)]
    stage.mailbox.run_pending()
    assert stage.settled == []
    stage.sink.acknowledge[0]()
    assert stage.settled == []
    stage.mailbox.run_pending()
    assert stage.settled == [("done", 1)]


def test_task_of_a_request_that_cannot_be_read_fails_before_that_is_written(stage: Stage) -> None:
    """It would wait for nothing. The task of any other request has its answer already."""
    stage.put(1, notifies_sender=True)
    stage.put(2)
    assert stage.sink.happened == [("notified", 1), ("written", 1), ("written", 2)]


def test_nothing_is_written_while_membership_is_in_doubt(stage: Stage) -> None:
    """What waits is written in its order once the group has confirmed it."""
    stage.membership.in_doubt = True
    stage.put(1, notifies_sender=True)
    stage.put(2)
    stage.letters.run_pending()
    assert stage.sink.happened == []
    stage.membership.confirmed()
    stage.put(3)
    assert stage.sink.happened == [("notified", 1), ("written", 1), ("written", 2), ("written", 3)]


@pytest.mark.parametrize("comes_back", [False, True])
def test_request_of_a_lost_partition_is_left_to_its_new_owner(
    stage: Stage, comes_back: bool
) -> None:
    """Also where this worker has the partition again: it consumes the request a second time."""
    stage.membership.in_doubt = True
    stage.put(1, notifies_sender=True)
    stage.assignment.lost([0])
    stage.assignment.assigned([0] if comes_back else [])
    stage.membership.confirmed()
    stage.letters.run_pending()
    assert (stage.sink.happened, stage.settled) == ([], [("lost", 1)])
    stage.letters.run_pending()
    assert stage.settled == [("lost", 1)]


def test_worker_consumes_no_more_while_too_many_wait(stage: Stage) -> None:
    """Those that wait here count, and those that the brokers have not acknowledged."""
    stage.membership.in_doubt = True
    for number in range(MAX_WAITING):
        assert not stage.letters.is_full
        stage.put(number)
    assert stage.letters.is_full
    stage.membership.confirmed()
    stage.letters.run_pending()
    assert not stage.letters.is_full
    stage.sink.is_full = True
    assert stage.letters.is_full
