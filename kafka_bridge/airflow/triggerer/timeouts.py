"""The waiting rules: when a job counts as not started, lost or overdue. Pure; times are seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.lifecycle import JobHistory, Verdict
from kafka_bridge.protocol.messages import ErrorType, StatusEvent

MARGIN_SECONDS = 30.0
"""No rule ends a wait sooner than this after it began, nor after the reader began to hear: what was
said before is still to be read, and workers that were cut off as well have yet to speak again."""


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """How long to wait, in seconds; None is for ever.

    ``schedule_to_start``: until a worker accepts the job. ``heartbeat``: between two events of an
    accepted job. ``start_to_close``: from acceptance to the end.
    """

    schedule_to_start: float | None = None
    heartbeat: float | None = None
    start_to_close: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """When a wait ends unless something happens (seconds since 1970), and as what."""

    at: float
    reason: ErrorType = field(compare=False)
    message: str = field(compare=False)


@dataclass(slots=True)
class JobWatch:
    """One job under the waiting rules.

    :param submitted_at: when its request was published, seconds since 1970
    :param began: when this wait for it began, seconds since 1970

    ``live_since`` says since when silence proves anything (seconds since 1970, infinite: it does
    not now); whoever knows sets it.
    """

    limits: WaitLimits
    submitted_at: float
    began: float
    history: JobHistory = field(default_factory=JobHistory)
    live_since: float = 0.0
    _queued_at: float = field(init=False)
    _started_at: float | None = None
    _heard_at: float = field(init=False)
    _worker_id: str = ""

    def __post_init__(self) -> None:
        self._queued_at = self.submitted_at
        self._heard_at = self.began

    def take(self, event: StatusEvent | EventHead, now: float) -> Verdict:
        """Take in an event that arrived now, and say whether it counts.

        :param event: a whole event, or its head alone: then the worker is the one known before, and
            a job that starts with it started now
        """
        verdict = self.history.take(event)
        if verdict is Verdict.STALE:
            return verdict
        self._heard_at = now
        if isinstance(event, StatusEvent):
            self._worker_id = event.worker_id
        if self.history.state is None:
            self._queued_at, self._started_at = now, None
        elif self._started_at is None:
            self._started_at = self._start(event, now)
        return verdict

    def _start(self, event: StatusEvent | EventHead, now: float) -> float:
        """Return when the job started: the worker's clock may be wrong, but not by any amount."""
        if not isinstance(event, StatusEvent):
            return now
        return min(max(event.occurred_at.timestamp(), self.submitted_at), now)

    def deadline(self) -> Deadline | None:
        """Return what ends the wait first, or None when nothing does as things are."""
        if self.live_since == math.inf:
            return None
        rules = self._queued_rules() if self._started_at is None else self._started_rules()
        return min(rules, default=None)

    def passed(self, now: float) -> Deadline | None:
        """Return the deadline that has passed, or None when there is none."""
        deadline = self.deadline()
        return deadline if deadline is not None and deadline.at <= now else None

    def _queued_rules(self) -> list[Deadline]:
        limit = self.limits.schedule_to_start
        if limit is None:
            return []
        message = f"no worker accepted the job within {limit:g} s"
        return [self._rule(self._queued_at + limit, ErrorType.NOT_STARTED, message)]

    def _started_rules(self) -> list[Deadline]:
        assert self._started_at is not None  # noqa: S101
        rules = []
        if (limit := self.limits.heartbeat) is not None:
            message = f"worker {self._worker_id} has been silent for {limit:g} s"
            rules.append(self._rule(self._heard_at + limit, ErrorType.WORKER_LOST, message))
        if (limit := self.limits.start_to_close) is not None:
            message = f"the job ran longer than {limit:g} s on worker {self._worker_id}"
            rules.append(self._rule(self._started_at + limit, ErrorType.DEADLINE_EXCEEDED, message))
        return rules

    def _rule(self, at: float, reason: ErrorType, message: str) -> Deadline:
        earliest = max(self.began, self.live_since) + MARGIN_SECONDS
        return Deadline(max(at, earliest), reason, message)
