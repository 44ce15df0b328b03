"""The states of a job as one table, for workers that publish events and readers that receive them.

::

    (queued) → ACCEPTED → RUNNING* → SUCCEEDED | FAILED | CANCELLED
       ↑          └───── RELEASED ────┘

Every state, also queued, may be followed by a terminal one, and ACCEPTED may be missing. The first
terminal event wins, whatever its delivery. Any other event is stale if its delivery is lower than
the highest one received.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from kafka_bridge.protocol.messages import JobState, StatusEvent

if TYPE_CHECKING:
    from kafka_bridge.protocol.event_head import EventHead

TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

# The states that one worker may publish next in one delivery of a job. None: no event so far.
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
    """Return whether ``following`` may come after ``previous`` in one delivery of a job."""
    return following in NEXT[previous]


class Verdict(Enum):
    """Whether an event changes what a reader knows of its job."""

    TAKEN = auto()
    """The event is new."""
    STALE = auto()
    """The event is of an older delivery, or comes after a terminal event: it changes nothing."""


@dataclass(slots=True)
class JobHistory:
    """The state of one job as a reader knows it. ``state`` is None while the job is queued."""

    state: JobState | None = None
    delivery: int = 0

    @property
    def finished(self) -> bool:
        """Whether a terminal event was applied."""
        return self.state in TERMINAL

    def take(self, event: StatusEvent | EventHead) -> Verdict:
        """Apply one event, or its head, in the order of its partition; return the verdict."""
        if self.finished:
            return Verdict.STALE
        if event.state not in TERMINAL and event.delivery < self.delivery:
            return Verdict.STALE
        self.delivery = max(self.delivery, event.delivery)
        # A released job is queued again and waits for a worker.
        self.state = None if event.state is JobState.RELEASED else event.state
        return Verdict.TAKEN
