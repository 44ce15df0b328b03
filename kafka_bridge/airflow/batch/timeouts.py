"""The waiting rules of a batch, and how far it has come. Pure; times are seconds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kafka_bridge.airflow.triggerer.timeouts import MARGIN_SECONDS, Deadline
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.lifecycle import JobHistory, Verdict
from kafka_bridge.protocol.messages import ErrorType, JobState

_RUNNING = (JobState.ACCEPTED, JobState.RUNNING, JobState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How long to wait, in seconds; None is for ever.

    ``whole``: from the submission to the end of the last job. ``heartbeat``: the silence of all
    workers while jobs run. ``schedule_to_start``: their silence while all that is left is queued.
    """

    whole: float | None = None
    heartbeat: float | None = None
    schedule_to_start: float | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs of a batch are where. ``failed`` has the cancelled ones, too."""

    total: int
    running: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        """How many have ended."""
        return self.succeeded + self.failed

    @property
    def queued(self) -> int:
        """How many no worker has taken, as far as is known."""
        return self.total - self.done - self.running

    def __str__(self) -> str:
        failed = f" ({self.failed:,} failed)" if self.failed else ""
        return (
            f"{self.done:,} of {self.total:,} jobs done{failed}, "
            f"{self.running:,} running, {self.queued:,} queued"
        )


class BatchWatch:
    """All jobs of a batch under its waiting rules.

    :param job_ids: their correlation ids
    :param submitted_at: when they were first submitted, seconds since 1970
    :param began: when this wait began, seconds since 1970

    ``live_since`` says since when silence proves anything (seconds since 1970, infinite: it does
    not now); whoever knows sets it.
    """

    def __init__(
        self, job_ids: Iterable[str], limits: BatchLimits, submitted_at: float, began: float
    ) -> None:
        self.live_since = 0.0
        self._jobs = {job: JobHistory() for job in job_ids}
        self._states: Counter[JobState | None] = Counter({None: len(self._jobs)})
        self._left = len(self._jobs)
        self._limits = limits
        self._submitted_at = submitted_at
        self._began = self._heard_at = began

    @property
    def tally(self) -> Tally:
        """Where the jobs are."""
        states = self._states
        return Tally(
            total=len(self._jobs),
            running=sum(states[each] for each in _RUNNING),
            succeeded=states[JobState.SUCCEEDED],
            failed=states[JobState.FAILED] + states[JobState.CANCELLED],
        )

    @property
    def is_done(self) -> bool:
        """Whether every job has ended."""
        return not self._left

    @property
    def has_failures(self) -> bool:
        """Whether a job has ended other than well."""
        return bool(self._states[JobState.FAILED] or self._states[JobState.CANCELLED])

    @property
    def unfinished(self) -> Iterator[str]:
        """The ids of the jobs that have not ended."""
        return (job for job, history in self._jobs.items() if not history.finished)

    def take(self, job: str, head: EventHead, now: float) -> Verdict:
        """Take in the head of an event that arrived now, and say whether it counts."""
        history = self._jobs[job]
        before = history.state
        verdict = history.take(head)
        if verdict is Verdict.TAKEN:
            self._heard_at = now
            self._states[before] -= 1
            self._states[history.state] += 1
            self._left -= history.finished
        return verdict

    def passed(self, now: float) -> Deadline | None:
        """Return the rule that ends the wait now, or None when none does."""
        if self.live_since == math.inf:
            return None
        first = min(self._rules(), default=None)
        return first if first is not None and first.at <= now else None

    def _rules(self) -> Iterator[Deadline]:
        tally, limits = self.tally, self._limits
        if (limit := limits.whole) is not None:
            message = f"the batch was not done within {limit:g} s: {tally}"
            yield self._rule(self._submitted_at + limit, ErrorType.DEADLINE_EXCEEDED, message)
        if tally.running and (limit := limits.heartbeat) is not None:
            message = f"all workers have been silent for {limit:g} s: {tally}"
            yield self._rule(self._heard_at + limit, ErrorType.WORKER_LOST, message)
        if not tally.running and (limit := limits.schedule_to_start) is not None:
            message = f"no worker has taken a job or ended one for {limit:g} s: {tally}"
            yield self._rule(self._heard_at + limit, ErrorType.NOT_STARTED, message)

    def _rule(self, at: float, reason: ErrorType, message: str) -> Deadline:
        earliest = max(self._began, self.live_since) + MARGIN_SECONDS
        return Deadline(max(at, earliest), reason, message)
