"""What each kind of record changes in what is known of its job. Pure functions."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from typing import Any

from kafka_bridge.monitor.jobs import (
    CancelView,
    JobView,
    ProgressMark,
    RequestView,
    ShownState,
)
from kafka_bridge.protocol.checkpoint import CLEARED, checkpoint_in
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.lifecycle import TERMINAL, JobHistory, Verdict
from kafka_bridge.protocol.messages import (
    JobCommand,
    JobFailure,
    JobRequest,
    JobState,
    StatusEvent,
    Task,
)
from kafka_bridge.protocol.sanitize import block, one_line

MESSAGE_BYTES = 300
"""How much is kept of a message, a reason, an external id or a checkpoint. The record has all."""
ERROR_BYTES = 1_000
"""How much is kept of an error's message."""


def request_view(request: JobRequest, location: RecordLocation) -> RequestView:
    """Return what is kept of a request."""
    return RequestView(
        location=location,
        requested_at=request.created_at,
        response_topic=sys.intern(request.response_topic),
        job_type=sys.intern(request.job_type),
        attempt=request.attempt,
        task=request.task and _shared(request.task),
        heartbeat_seconds=request.heartbeat_interval_ms / 1000,
        expires_at=request.expires_at,
        deadline=request.deadline,
    )


def _shared(task: Task) -> Task:
    """Return a task whose names share memory with those of other jobs."""
    return replace(
        task,
        source=sys.intern(task.source),
        dag_id=sys.intern(task.dag_id),
        run_id=sys.intern(task.run_id),
        task_id=sys.intern(task.task_id),
    )


def with_request(view: JobView, request: RequestView) -> JobView:
    """Return the job with its request.

    If it was published twice, for example by the replay of a dead letter, the first record counts.
    """
    if view.request is not None and _place(view.request.location) <= _place(request.location):
        return view
    return replace(view, request=request)


def _place(location: RecordLocation) -> tuple[str, int, int]:
    return location.topic, location.partition, location.offset


def cancel_view(command: JobCommand) -> CancelView:
    """Return what is kept of a CANCEL command."""
    return CancelView(one_line(command.reason or "", MESSAGE_BYTES), command.issued_at)


def with_cancel(view: JobView, cancel: CancelView) -> JobView:
    """Return the job with a CANCEL command; of several, the first one that was issued."""
    if view.cancel is not None and view.cancel.issued_at <= cancel.issued_at:
        return view
    return replace(view, cancel=cancel)


def with_event(
    view: JobView, event: StatusEvent, at: datetime, location: RecordLocation
) -> JobView | None:
    """Return the job after an event, by the lifecycle of the protocol; None if it is stale.

    :param at: when the event happened
    :param location: where its record lies
    """
    history = JobHistory(view.state.in_protocol, view.delivery)
    if history.take(event) is Verdict.STALE:
        return None
    if view.state is ShownState.QUEUED or event.delivery > view.delivery:
        view = replace(view, **_OF_ONE_DELIVERY)
    changes: dict[str, Any] = {
        "state": ShownState.of(history.state),
        "delivery": history.delivery,
        "last_event": location,
        "last_event_at": at,
        "worker_id": sys.intern(event.worker_id) or None,
    }
    changes |= _kept_over_deliveries(event)
    if event.message is not None or event.state in TERMINAL:
        changes["message"] = one_line(event.message or "", MESSAGE_BYTES) or None
    if event.state in TERMINAL:
        changes |= {"ended_at": at, "error": event.error and _without_details(event.error)}
    elif event.state is JobState.RELEASED:
        changes |= {**_OF_ONE_DELIVERY, "worker_id": None, "released_at": at}
    else:
        changes |= {
            "accepted_at": view.accepted_at or at,
            "started_at": view.started_at or at,
        }
    if event.progress is not None and event.state is not JobState.RELEASED:
        mark = view.first_progress or ProgressMark(at, event.progress.completed)
        changes |= {"progress": event.progress, "progress_at": at, "first_progress": mark}
    return replace(view, **changes)


def _kept_over_deliveries(event: StatusEvent) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if event.external_id is not None:
        changes["external_id"] = one_line(event.external_id, MESSAGE_BYTES)
    if (saved := checkpoint_in(event)) is not None:
        changes["checkpoint"] = None if saved == CLEARED else one_line(saved, MESSAGE_BYTES)
    return changes


_OF_ONE_DELIVERY: dict[str, Any] = {
    "message": None,
    "progress": None,
    "progress_at": None,
    "first_progress": None,
    "started_at": None,
}
"""What a new delivery begins without."""


def _without_details(error: JobFailure) -> JobFailure:
    return replace(error, message=block(error.message, ERROR_BYTES), details=None)
