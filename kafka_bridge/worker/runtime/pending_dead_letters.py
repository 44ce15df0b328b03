"""Requests that go to the dead letters, once it is certain that they are this worker's to judge."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from kafka_bridge.kafka.records import Received, Record
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.partition import Partition

MOST_WAITING = 1_000
"""How many requests may wait until the group confirms that this worker is a member."""


@dataclass(frozen=True, slots=True)
class _Letter:
    """A request to be set aside.

    ``done`` is called once that is on record; ``lost`` where its partition has gone before.
    """

    partition: Partition
    received: Received
    error: BaseException
    done: Callable[[], None]
    lost: Callable[[], None]
    notifies_sender: bool


class DeadLetterSink(Protocol):
    """Writes requests to the dead-letter topic."""

    @property
    def is_full(self) -> bool:
        """Whether so many are unacknowledged that no more requests should be consumed."""

    def write(self, record: Record, error: BaseException, done: Callable[[], None]) -> None:
        """Write a request; call ``done`` on any thread once the brokers have it."""

    def notify_sender(self, record: Record, error: Exception) -> None:
        """Fail the task that waits for a request that cannot be read."""


class PendingDeadLetters:
    """Sets requests aside. For the polling thread alone.

    A process that was frozen may have lost its partitions, and not know it. Another worker, a newer
    one perhaps, may be able to do what this one cannot: so nothing is written until the group has
    confirmed that this one is still a member.
    """

    def __init__(
        self,
        dead_letters: DeadLetterSink,
        assignment: Assignment,
        membership: Membership,
        call_soon: Callable[..., None],
    ) -> None:
        self._dead_letters = dead_letters
        self._assignment = assignment
        self._membership = membership
        self._call_soon = call_soon
        self._waiting: deque[_Letter] = deque()

    @property
    def is_full(self) -> bool:
        """Whether so many requests wait to be set aside that no more should be taken."""
        return self._dead_letters.is_full or len(self._waiting) >= MOST_WAITING

    def put(
        self,
        partition: Partition,
        received: Received,
        error: BaseException,
        *,
        done: Callable[[], None],
        lost: Callable[[], None] = lambda: None,
        notifies_sender: bool = False,
    ) -> None:
        """Set a request aside, with the reason, as soon as that may be done.

        :param done: called on the polling thread once the dead letter is on record
        :param lost: called where the request's partition has gone to another worker before
        :param notifies_sender: whether the waiting task is told that its request is unreadable
        """
        self._waiting.append(_Letter(partition, received, error, done, lost, notifies_sender))
        self.run_pending()

    def run_pending(self) -> None:
        """Write what may be written now."""
        while self._waiting and self._membership.may_publish():
            letter = self._waiting.popleft()
            if self._assignment.partitions.get(letter.partition.number) is letter.partition:
                self._write(letter)
            else:
                letter.lost()

    def _write(self, letter: _Letter) -> None:
        record = letter.received.record
        if letter.notifies_sender:
            assert isinstance(letter.error, Exception)  # noqa: S101
            self._dead_letters.notify_sender(record, letter.error)
        self._dead_letters.write(record, letter.error, partial(self._call_soon, letter.done))
