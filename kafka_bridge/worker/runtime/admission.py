"""What to do with a request that a worker has in flight. Pure: all that decides is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobRequest, JobState
from kafka_bridge.worker.errors import failure
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.expiry import too_late
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, Unfinished

SUSPECT_SHARE = 2
"""After half of its deliveries without an end a job is run with no other such job beside it: when
the process dies again, what killed it is known, and the others are not blamed."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Its job is finished: commit it in silence."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Nobody can be answered: to the dead letters."""

    error: KafkaBridgeError


@dataclass(frozen=True, slots=True)
class End:
    """End the job as this, without a start. ``poison``: to the dead letters as well."""

    state: JobState
    facts: Mapping[str, Any] = field(default_factory=dict)
    delivery: int = 1
    poison: TooManyDeliveries | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Run it. ``suspect``: it may be what killed the workers that had it before.

    ``external_id``: what the system that does the work calls it, where an earlier delivery said so.
    """

    handler: Handler
    delivery: int
    suspect: bool
    external_id: str | None = None


Decision: TypeAlias = Skip | SetAside | End | Start


class TooManyDeliveries(KafkaBridgeError):
    """A job was begun again and again, and no worker lived to say how it ended."""


def decide(
    request: JobRequest,
    snapshot: LedgerSnapshot,
    handlers: Mapping[str, Handler],
    *,
    cancelled: str | None,
    max_deliveries: int,
    now: datetime,
) -> Decision:
    """Return what is to be done with a request.

    :param snapshot: what its response topic says
    :param cancelled: the reason of a CANCEL for the job, None where there is none
    :param max_deliveries: how often it may be begun
    :param now: with a time zone
    """
    if snapshot.failure is not None:
        return SetAside(snapshot.failure)
    key = request.correlation_id.encode()
    if key in snapshot.finished:
        return Skip()
    before = snapshot.unfinished.get(key, Unfinished())
    delivery = before.delivery + 1
    if cancelled is not None:
        return End(JobState.CANCELLED, {"message": cancelled}, delivery)
    if before.broken_off >= max_deliveries:
        return _poison(request, before, delivery)
    handler = handlers.get(request.job_type)
    if (unfit := _unfit(request, handler, now)) is not None:
        return End(JobState.FAILED, {"error": unfit}, delivery)
    assert handler is not None  # noqa: S101  _unfit says so otherwise
    suspect = before.broken_off >= max(1, max_deliveries // SUSPECT_SHARE)
    return Start(handler, delivery, suspect, before.external_id)


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
            "worker does not fetch references: send the address in the payload itself, and have "
            "the handler read it",
            retryable=False,
        )
    return None


def _poison(request: JobRequest, before: Unfinished, delivery: int) -> End:
    error = TooManyDeliveries(
        f"job {request.correlation_id} ({request.job_type}) was begun {before.broken_off} times, "
        "and each time its worker died or fell silent before it ended: it may be what kills them"
    )
    reason = failure(ErrorType.TOO_MANY_DELIVERIES, str(error), retryable=False)
    return End(JobState.FAILED, {"error": reason}, delivery, poison=error)
