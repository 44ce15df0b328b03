"""Requests for the dead-letter topic that wait until this worker's membership is certain."""

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

MAX_WAITING = 1_000
"""How many requests may wait until the group confirms that this worker is a member."""


@dataclass(frozen=True, slots=True)
class _Letter:
    """A request for the dead-letter topic.

    ``done`` is called when it is written; ``lost`` if its partition is lost before.
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
    """Writes requests to the dead-letter topic. Used by the polling thread only.

    A process that was frozen may have lost its partitions without knowing it. Another worker,
    perhaps a newer one, may be able to do what this one cannot. So nothing is written until the
    group has confirmed that this worker is still a member.
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
        """Whether too many requests wait to consume more of them."""
        return self._dead_letters.is_full or len(self._waiting) >= MAX_WAITING

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
        """Write a request and the reason as soon as that is allowed.

        :param done: called on the polling thread when the dead letter is acknowledged
        :param lost: called instead if the request's partition goes to another worker before
        :param notifies_sender: whether the waiting task fails because its request is unreadable
        """
        self._waiting.append(_Letter(partition, received, error, done, lost, notifies_sender))
        self.run_pending()

    def run_pending(self) -> None:
        """Write the requests that may be written now."""
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
