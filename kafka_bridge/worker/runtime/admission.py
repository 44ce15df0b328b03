"""Decides what a worker does with a request.

:func:`decide` is pure: all that it depends on is passed in. :class:`Admission` gathers that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobRequest, JobState, utc_now
from kafka_bridge.worker.errors import failure
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.expiry import too_late
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, Unfinished

SUSPECT_SHARE = 2
"""After half of its deliveries without an end a job runs with no other such job beside it: if the
process dies again, it is known what killed it, and other jobs are not blamed."""


@dataclass(frozen=True, slots=True)
class Skip:
    """The job is finished: commit the offset, publish nothing."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """No event can be published: write the request to the dead-letter topic."""

    error: KafkaBridgeError


@dataclass(frozen=True, slots=True)
class End:
    """End the job without a start.

    :ivar poison: why the request goes to the dead-letter topic as well
    """

    state: JobState
    facts: Mapping[str, Any] = field(default_factory=dict)
    delivery: int = 1
    poison: TooManyDeliveries | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Run the job.

    :ivar suspect: whether it may have killed the workers that had it before
    :ivar external_id: what the system that does the work calls it, by an earlier delivery
    :ivar checkpoint: what an earlier delivery has saved, as JSON text
    """

    handler: Handler
    delivery: int
    suspect: bool
    external_id: str | None = None
    checkpoint: str | None = None


Decision: TypeAlias = Skip | DeadLetter | End | Start


class TooManyDeliveries(KafkaBridgeError):
    """A job was begun again and again, and no worker lived to publish its end."""


def decide(
    request: JobRequest,
    snapshot: LedgerSnapshot,
    handlers: Mapping[str, Handler],
    *,
    cancelled: str | None,
    max_deliveries: int,
    now: datetime,
) -> Decision:
    """Return what to do with a request.

    :param snapshot: what its response topic has of jobs
    :param cancelled: the reason of a CANCEL for the job, None without one
    :param max_deliveries: how often the job may begin
    :param now: with a time zone
    """
    if snapshot.failure is not None:
        return DeadLetter(snapshot.failure)
    key = request.correlation_id.encode()
    if key in snapshot.finished:
        return Skip()
    before = snapshot.unfinished.get(key, Unfinished())
    delivery = before.delivery + 1
    if cancelled is not None:
        return End(JobState.CANCELLED, {"message": cancelled}, delivery)
    if before.interrupted >= max_deliveries:
        return _poison(request, before, delivery)
    handler = handlers.get(request.job_type)
    if (unfit := _unfit(request, handler, now)) is not None:
        return End(JobState.FAILED, {"error": unfit}, delivery)
    assert handler is not None  # noqa: S101  else _unfit returns a failure
    suspect = before.interrupted >= max(1, max_deliveries // SUSPECT_SHARE)
    return Start(handler, delivery, suspect, before.external_id, before.checkpoint)


def _unfit(request: JobRequest, handler: Handler | None, now: datetime) -> JobFailure | None:
    if (late := too_late(request, now)) is not None:
        return late
    if handler is None:
        return failure(
            ErrorType.UNKNOWN_JOB_TYPE,
            f"this worker has no handler for job type {request.job_type!r}: is the request on the "
            "right topic, and is the worker up to date?",
            retryable=False,
        )
    if request.payload_ref is not None:
        return failure(
            ErrorType.UNSUPPORTED_REFERENCE,
            f"the payload of this request is a reference, {request.payload_ref.uri}, and this "
            "worker does not fetch references: send the address in the payload itself, and let the "
            "handler read it",
            retryable=False,
        )
    return None


def _poison(request: JobRequest, before: Unfinished, delivery: int) -> End:
    error = TooManyDeliveries(
        f"job {request.correlation_id} ({request.job_type}) was begun {before.interrupted} times, "
        "and each time its worker died or stopped responding: the job may be the cause. See the "
        "dead-letter topic"
    )
    reason = failure(ErrorType.TOO_MANY_DELIVERIES, str(error), retryable=False)
    return End(JobState.FAILED, {"error": reason}, delivery, poison=error)


class CancelReasons(Protocol):
    """Knows which jobs were cancelled.

    :ivar reasons: of each CANCEL, by correlation id
    """

    reasons: dict[str, str]


class JobLedger(Protocol):
    """Knows what was published of jobs, as :class:`~kafka_bridge.worker.runtime.ledger.Ledger`."""

    @property
    def has_unfinished(self) -> bool:
        """Whether there may be jobs that others have begun and not finished."""

    def snapshot_for(self, request: JobRequest, epoch: int) -> LedgerSnapshot | None:
        """Return what is known of a response topic; None if it has to be read first."""

    def is_finished_here(self, correlation_id: str) -> bool:
        """Tell whether this worker has finished a job."""

    def finished_here(self, correlation_id: str) -> None:
        """Note that this worker has finished a job."""

    def has_read(self, epoch: int) -> bool:
        """Tell whether any topic was read since this assignment."""

    def may_read(self, topic: str) -> bool:
        """Tell whether a topic may be read now."""

    def read(
        self,
        topic: str,
        asking: Sequence[tuple[float, bytes]],
        epoch: int,
        then: Callable[[LedgerSnapshot], None],
    ) -> None:
        """Read a topic for these requests, and call ``then`` on the polling thread."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Decides about jobs, by the ledger and the control topic.

    :ivar handlers: by job type
    :ivar max_deliveries: how often a job may begin
    """

    handlers: Mapping[str, Handler]
    max_deliveries: int
    ledger: JobLedger
    control: CancelReasons

    def decision(self, job: InFlightJob) -> Decision | None:
        """Return what to do with a job; None if the ledger has to be read for that."""
        if self.ledger.is_finished_here(job.correlation_id):
            return Skip()
        snapshot = self.snapshot_for(job)
        if snapshot is None:
            return None
        return decide(
            job.request,
            snapshot,
            self.handlers,
            cancelled=self.cancel_reason(job),
            max_deliveries=self.max_deliveries,
            now=utc_now(),
        )

    def snapshot_for(self, job: InFlightJob) -> LedgerSnapshot | None:
        """Return what is known of the job's response topic; None if it has to be read first."""
        return self.ledger.snapshot_for(job.request, job.partition.epoch)

    def is_finished(self, job: InFlightJob, snapshot: LedgerSnapshot) -> bool:
        """Tell whether this worker or another one has finished a job."""
        return (
            self.ledger.is_finished_here(job.correlation_id)
            or job.correlation_id.encode() in snapshot.finished
        )

    def cancel_reason(self, job: InFlightJob) -> str | None:
        """Return why a job was cancelled, None if it was not."""
        return self.control.reasons.get(job.correlation_id)
