"""A job of this worker, from the arrival of its request until nothing is left to do for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, TypeAlias

from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobFailure, JobRequest, JobState
from kafka_bridge.worker.cancellation import StopReason, StopSignal
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime import time_limits
from kafka_bridge.worker.runtime.membership import Ownership
from kafka_bridge.worker.runtime.partition import Partition
from kafka_bridge.worker.runtime.reporter import JobReporter, Settled


class Phase(Enum):
    """What a worker is doing with a job. :data:`TRANSITIONS` has what may follow what."""

    QUEUED = "waits in this process for the ledger, or for a slot"
    ACCEPTING = "has a slot; ACCEPTED is being published"
    READY = "ACCEPTED is acknowledged; the job waits for a thread"
    RUNNING = "its handler runs"
    ENDING = "its handler has returned; its terminal event is being published"
    REJECTING = "is not started; its terminal event is being published"
    DEAD_LETTERING = "its request is being written to the dead-letter topic"
    RELEASING = "RELEASED is being published: another worker does the job again"
    DONE = "nothing is left to do; the offset may be committed"
    RELEASED = "another worker does the job again"
    LOST = "another worker has the job; this one publishes nothing more"

    __hash__ = object.__hash__  # Enum's own is Python code, and phases are looked up for each job


def _transitions() -> Mapping[Phase, frozenset[Phase]]:
    p = Phase
    table = {
        p.QUEUED: {p.ACCEPTING, p.REJECTING, p.DEAD_LETTERING, p.DONE, p.LOST},
        p.ACCEPTING: {p.READY, p.DEAD_LETTERING, p.RELEASING, p.LOST},
        p.READY: {p.RUNNING, p.ENDING, p.DEAD_LETTERING, p.RELEASING, p.LOST},
        p.RUNNING: {p.ENDING, p.DEAD_LETTERING, p.RELEASING, p.LOST},
        p.ENDING: {p.DONE, p.DEAD_LETTERING, p.LOST},
        p.REJECTING: {p.DONE, p.DEAD_LETTERING, p.LOST},
        p.DEAD_LETTERING: {p.DONE, p.LOST},
        p.RELEASING: {p.RELEASED, p.LOST},
        p.DONE: set[Phase](),
        p.RELEASED: set[Phase](),
        p.LOST: set[Phase](),
    }
    return {phase: frozenset(following) for phase, following in table.items()}


TRANSITIONS: Mapping[Phase, frozenset[Phase]] = _transitions()
"""By phase, those that may follow it. None may follow the last three."""

OVER = frozenset({Phase.DONE, Phase.RELEASED, Phase.LOST})
STARTABLE = frozenset({Phase.ACCEPTING, Phase.READY})
"""The job has a slot, and its handler was not called yet."""
ACTIVE = STARTABLE | {Phase.RUNNING}
"""The job is accepted and has not ended: it can be stopped and released."""
_PUBLISHING = ACTIVE | {Phase.ENDING, Phase.REJECTING, Phase.RELEASING}


class IllegalTransition(RuntimeError):
    """A job was to enter a phase that cannot follow the one it is in: a fault of this program."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: the state and the other facts of its terminal event."""

    state: JobState
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """Why it ended so, None if it succeeded."""
        error: JobFailure | None = self.facts.get("error")
        return self.facts.get("message") if error is None else f"{error.type}: {error.message}"


JobSettled: TypeAlias = Callable[["InFlightJob", BaseException | None], None]
"""Called with a job once its terminal event is on record, or with the reason why it never will."""


@dataclass(slots=True, eq=False)
class InFlightJob:
    """One request that was consumed, and everything that this worker does for it.

    Three kinds of threads change its phase: the polling thread, the brokers' acknowledgements and
    the handler's thread. :meth:`enter` is for what must be possible; :meth:`try_enter` is for what
    another thread may have made impossible meanwhile.

    :ivar began_elsewhere: whether another worker had begun the job
    :ivar was_skipped: whether the request was read for the second time
    :ivar turn: orders the queued jobs
    :ivar is_suspect: whether it may have killed other workers: it has no other job in its batch
    :ivar has_begun: whether the handler was called here
    :ivar handler: from ACCEPTING on
    :ivar reporter: from ACCEPTING or REJECTING on
    """

    partition: Partition
    received: Received
    request: JobRequest
    encoding: Encoding
    ownership: Ownership
    phase: Phase = Phase.QUEUED
    began_elsewhere: bool = False
    was_skipped: bool = False
    turn: tuple[bool, int] = (True, 0)
    is_suspect: bool = False
    stop: StopSignal = field(default_factory=StopSignal)
    has_begun: bool = False
    correlation_id: str = field(init=False)
    handler: Handler = field(init=False)
    reporter: JobReporter = field(init=False)
    _observer: Observer = field(init=False)
    _settled: JobSettled = field(init=False)
    _began_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.correlation_id = self.request.correlation_id

    @property
    def offset(self) -> int:
        """The offset of the request in its partition."""
        return self.received.offset

    def __str__(self) -> str:
        return f"{self.request.correlation_id} ({self.request.job_type})"

    # Phases.

    def enter(self, phase: Phase) -> None:
        """Enter a phase.

        :raises IllegalTransition: it cannot follow the present one
        """
        if not self.try_enter(phase):
            raise IllegalTransition(f"job {self} cannot go from {self.phase.name} to {phase.name}")

    def try_enter(self, phase: Phase) -> bool:
        """Enter a phase; return False, and change nothing, if it cannot follow the present one."""
        with self._lock:
            if phase not in TRANSITIONS[self.phase]:
                return False
            self.phase = phase
            return True

    @property
    def is_queued(self) -> bool:
        """Whether the job waits for a decision or a slot, for the first time in this process."""
        return self.phase is Phase.QUEUED

    @property
    def is_over(self) -> bool:
        """Whether this worker has nothing more to do for the job."""
        return self.phase in OVER

    @property
    def has_published_end(self) -> bool:
        """Whether the terminal event is on record, or on its way to the brokers."""
        return not self.is_queued and self.reporter.has_sent_end

    @property
    def seconds(self) -> float:
        """For how long the handler has run; 0 if it was not called."""
        return time.monotonic() - self._began_at if self.has_begun else 0.0

    # From the queue to the terminal event.

    def accept(
        self, handler: Handler, reporter: JobReporter, observer: Observer, settled: JobSettled
    ) -> None:
        """Give the job a handler.

        :param settled: called with the job once the terminal event is acknowledged, and None, or
            with the reason why it never will be; never for a job that is released or lost
        """
        self.handler, self.reporter = handler, reporter
        self._observer, self._settled = observer, settled
        self.enter(Phase.ACCEPTING)

    def reject(
        self, reporter: JobReporter, outcome: Outcome, observer: Observer, settled: JobSettled
    ) -> None:
        """End the job without a start; the parameters are those of :meth:`accept`."""
        self.reporter, self._observer, self._settled = reporter, observer, settled
        self.enter(Phase.REJECTING)
        self._publish(outcome)

    def begin(self) -> bool:
        """Note that the handler is being called; return False if it must not be any more."""
        with self._lock:
            if Phase.RUNNING not in TRANSITIONS[self.phase]:
                return False
            self._began_at = time.monotonic()
            self.phase, self.has_begun = Phase.RUNNING, True
        self._observer.job_log.started(self.request, self.reporter.delivery)
        return True

    def end(self, outcome: Outcome) -> None:
        """Publish the terminal event, unless the job was released or lost meanwhile."""
        if self.try_enter(Phase.ENDING):
            self._publish(outcome)

    def _publish(self, outcome: Outcome) -> None:
        settled = partial(self._end_settled, self.seconds, outcome.reason)
        self.reporter.finished(outcome.state, settled, **outcome.facts)

    def _end_settled(
        self, seconds: float, reason: str | None, state: JobState, error: BaseException | None
    ) -> None:
        if error is None:
            self._observer.ended(self.request.job_type, state, seconds)
            self._observer.job_log.ended(self.request, state, seconds, reason)
        self._settled(self, error)

    def fail_to_end(self, error: BaseException) -> None:
        """Note that the terminal event cannot even be made."""
        self._settled(self, error)

    def note_retry(self, attempt: int, failed: JobFailure, seconds: float) -> None:
        """Publish that the handler failed and is called again after a pause."""
        self._observer.retried(self.request.job_type)
        self.reporter.publish_message(
            f"Try {attempt} of {self.handler.retry.retries + 1} failed: {failed.type}: "
            f"{failed.message}; retrying in {seconds:.1f} s"
        )

    def note_batch(self, jobs: int) -> None:
        """Note that its handler is called for a batch of this many jobs."""
        self._observer.batch_began(self.request.job_type, jobs)

    # While it is in flight.

    def may_publish(self) -> bool:
        """Tell whether events of the job may be published now."""
        return self.ownership.may_publish()

    def may_start(self) -> bool:
        """Tell whether events may be published, or the job has to end without a start.

        Asked when the next job is chosen, and again before its handler is called: between the two a
        thread has to wake up, and the process may have been frozen for longer than its session.
        """
        return self.stop.reason is not None or self.may_publish()

    def tick(self) -> None:
        """Stop the job if its deadline has passed; publish what is due."""
        deadline = self.request.deadline
        if (
            deadline is not None
            and self.phase in ACTIVE
            and self.stop.reason is None
            and time.time() > deadline.timestamp()
        ):
            self.ask_to_stop(
                StopReason.DEADLINE, f"its deadline, {deadline.isoformat()}, has passed"
            )
        if self.phase is Phase.RUNNING and self.handler.time_limit is not None:
            self._check_time_limit(self.handler.time_limit)
        self.reporter.tick()

    def _check_time_limit(self, limit: float) -> None:
        if self.stop.reason is None and self.seconds > limit:
            self.reporter.publish_message(time_limits.warning(self.request, self.handler))
            self.ask_to_stop(StopReason.TIME_LIMIT, time_limits.reason(self.handler))
            self._observer.time_limit_exceeded(self.request.job_type)

    def ask_to_stop(self, reason: StopReason, message: str) -> None:
        """Ask the handler to stop; until it does, heartbeats state that it still runs."""
        if self.phase in ACTIVE:
            self.reporter.note = f"Asked to stop ({reason}: {message}), but still running"
            self.stop.set(reason, message)

    # Others get it.

    def release(self, message: str, settled: Settled) -> bool:
        """Hand the job back and ask its handler to stop; return False if it is ending already."""
        if not self.try_enter(Phase.RELEASING):
            return False
        self.reporter.released(message, partial(self._release_settled, self.seconds, settled))
        self.stop.set(StopReason.RELEASED, message)
        if self.has_begun:
            log = self._observer.job_log
            log.ended(self.request, JobState.RELEASED, self.seconds, message)
        return True

    def _release_settled(
        self, seconds: float, settled: Settled, error: BaseException | None
    ) -> None:
        if error is None and self.has_begun:
            self._observer.ended(self.request.job_type, JobState.RELEASED, seconds)
        settled(error)

    def abandon(self) -> bool:
        """Publish nothing more and ask the handler to stop; return False if the job is over."""
        before = self.phase
        if not self.try_enter(Phase.LOST):
            return False
        if before in _PUBLISHING:
            self.reporter.abandon()
        self.stop.set(StopReason.LOST, "the group has given the job to another worker")
        return True

    def requeued(self) -> InFlightJob:
        """Return the same request as a job that nothing was done for."""
        ownership = Ownership(self.ownership.membership)
        return InFlightJob(self.partition, self.received, self.request, self.encoding, ownership)
