"""All that is known of one job, as text and as JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import typer

from kafka_bridge.cli.job_views import NOTHING, job_facts, shown_time, task_name
from kafka_bridge.cli.tables import print_rows
from kafka_bridge.monitor.lookup import JobTimeline, TimelineEvent
from kafka_bridge.protocol.excerpts import excerpt
from kafka_bridge.protocol.media_types import from_json, is_json
from kafka_bridge.protocol.messages import JobFailure, StatusEvent
from kafka_bridge.protocol.progress_text import duration, progress_text
from kafka_bridge.protocol.sanitize import block

SHOWN_BYTES = 1_000_000
"""How much of a payload or result is shown on request; --json has all of it."""


def print_timeline(found: JobTimeline, *, with_payload: bool, with_result: bool) -> None:
    """Print a job: what its request says, its events, and how it ended."""
    for line in _head(found):
        typer.echo(line)
    if found.events:
        typer.echo()
        print_rows(("time", "state", "delivery", "worker", "news"), list(map(_row, found.events)))
    for line in _rest(found, with_payload=with_payload, with_result=with_result):
        typer.echo(line)


def _head(found: JobTimeline) -> Iterator[str]:
    job, request = found.job, found.job.request
    yield f"Job {job.correlation_id}: {job.state}"
    facts: list[tuple[str, object]] = [("type", job.job_type)]
    if job.task is not None:
        facts += [
            ("task", f"{task_name(job.task)}, try {job.task.try_number}"),
            ("run", job.task.run_id),
            ("source", job.task.source),
            ("page", job.task.url),
        ]
    if request is None:
        facts.append(("request", "not found: its topic is another one, or it was removed"))
    else:
        facts += [
            ("request", f"{request.location}, {shown_time(request.requested_at)}"),
            ("attempt", request.attempt if request.attempt > 1 else None),
            ("deadline", request.deadline and shown_time(request.deadline)),
            ("expires", request.expires_at and shown_time(request.expires_at)),
            ("replies", "plain" if request.is_plain else None),
        ]
    facts += [
        ("worker", job.worker_id),
        ("external id", job.external_id),
        ("checkpoint", job.checkpoint),
        ("waited", job.waited and duration(job.waited.total_seconds())),
        ("ran", job.ran and duration(job.ran.total_seconds())),
        ("cancel", job.cancel and f"{shown_time(job.cancel.issued_at)}: {job.cancel.reason}"),
    ]
    for name, value in facts:
        if value is not None:
            yield f"{name:<12}{value}"


def _row(each: TimelineEvent) -> tuple[str, ...]:
    event = each.event
    state = f"{event.state} (stale)" if each.is_stale else str(event.state)
    return (
        shown_time(event.occurred_at),
        state,
        str(event.delivery),
        event.worker_id or NOTHING,
        _news(event),
    )


def _news(event: StatusEvent) -> str:
    parts = [event.message]
    if event.progress is not None:
        parts.insert(0, progress_text(event.progress, None))
    if event.error is not None:
        parts.append(f"{event.error.type}: {event.error.message}")
    return " – ".join(filter(None, parts)) or NOTHING


def _rest(found: JobTimeline, *, with_payload: bool, with_result: bool) -> Iterator[str]:
    end = found.end
    if end is not None and end.error is not None:
        yield from _error(end.error)
    for unreadable in found.unreadable:
        yield f"\nNot readable: {unreadable}"
    if with_payload:
        yield from _data("Payload", found.payload, found.payload_type)
    if with_result:
        yield from _data("Result", *_result(end))


def _error(error: JobFailure) -> Iterator[str]:
    retry = "a retry may help" if error.retryable else "a retry cannot help"
    yield f"\nError: {error.type} ({retry})"
    yield block(error.message)
    if error.details:
        yield block(error.details)


def _data(name: str, data: bytes | None, media_type: str | None) -> Iterator[str]:
    if data is None:
        yield f"\n{name}: none"
        return
    yield f"\n{name}: {len(data):,} bytes, {media_type or 'of a type that is not said'}"
    yield from excerpt(data, SHOWN_BYTES)


def timeline_facts(found: JobTimeline, *, with_payload: bool, with_result: bool) -> dict[str, Any]:
    """Return a job for JSON: as in a list, and its events; data that are not JSON are base64."""
    end = found.end
    facts = job_facts(found.job) | {
        "events": [_event_facts(each) for each in found.events],
        "unreadable": [str(each) for each in found.unreadable],
        "details": end.error.details if end and end.error else None,
    }
    if with_payload:
        facts |= _data_facts("payload", found.payload, found.payload_type)
    if with_result:
        facts |= _data_facts("result", *_result(end))
    return facts


def _event_facts(each: TimelineEvent) -> dict[str, Any]:
    event = each.event
    return {
        "occurred_at": event.occurred_at.isoformat(),
        "state": event.state,
        "delivery": event.delivery,
        "worker_id": event.worker_id,
        "message": event.message,
        "progress": event.progress
        and {
            "completed": event.progress.completed,
            "total": event.progress.total,
            "unit": event.progress.unit,
        },
        "location": str(each.location),
        "is_stale": each.is_stale,
    }


def _result(end: StatusEvent | None) -> tuple[bytes | None, str | None]:
    return (None, None) if end is None else (end.result, end.result_type)


def _data_facts(name: str, data: bytes | None, media_type: str | None) -> dict[str, Any]:
    """Return data under its name if it is JSON, else under ``…_base64``."""
    facts: dict[str, Any] = {f"{name}_type": media_type}
    if data is not None and media_type is not None and is_json(media_type):
        try:
            return facts | {name: from_json(data)}
        except ValueError:
            pass  # it is not what its type says
    return facts | {f"{name}_base64": data and base64.b64encode(data).decode("ascii")}
