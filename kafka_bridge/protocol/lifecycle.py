"""The life of a job as one table, used by workers before they speak and by readers as they listen.

::

    (queued) → ACCEPTED → RUNNING* → SUCCEEDED | FAILED | CANCELLED
       ↑          └───── RELEASED ────┘

Any state, queued too, may go straight to a terminal one, and ACCEPTED may be left out. The first
terminal event wins, whatever its delivery. Other events of a delivery lower than the highest one
seen are stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from kafka_bridge.protocol.messages import JobState, StatusEvent

if TYPE_CHECKING:
    from kafka_bridge.protocol.event_head import EventHead

TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

# What one worker may say next, within one delivery of a job. None: it has said nothing yet.
_ALIVE = frozenset({JobState.RUNNING, JobState.RELEASED, JobState.UNKNOWN}) | TERMINAL
NEXT: dict[JobState | None, frozenset[JobState]] = {
    None: _ALIVE | {JobState.ACCEPTED},
    JobState.ACCEPTED: _ALIVE,
    JobState.RUNNING: _ALIVE,
    JobState.UNKNOWN: _ALIVE | {JobState.ACCEPTED},
    JobState.RELEASED: frozenset(),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


def may_follow(previous: JobState | None, following: JobState) -> bool:
    """Return whether a worker may say ``following`` after ``previous`` in one delivery of a job."""
    return following in NEXT[previous]


class Verdict(Enum):
    """What a reader does with an event."""

    TAKEN = auto()
    """It tells something new."""
    STALE = auto()
    """It is of an older delivery, or comes after the end: it changes nothing."""


@dataclass(slots=True)
class JobHistory:
    """What a reader knows of one job, event by event. ``state`` is None while the job is queued."""

    state: JobState | None = None
    delivery: int = 0

    @property
    def finished(self) -> bool:
        """Whether a terminal event was taken."""
        return self.state in TERMINAL

    def take(self, event: StatusEvent | EventHead) -> Verdict:
        """Take in one event, or its head, in the order of its partition; say whether it counts."""
        if self.finished:
            return Verdict.STALE
        if event.state not in TERMINAL and event.delivery < self.delivery:
            return Verdict.STALE
        self.delivery = max(self.delivery, event.delivery)
        # Handed back: the job is queued once more, and waits for a worker anew.
        self.state = None if event.state is JobState.RELEASED else event.state
        return Verdict.TAKEN
