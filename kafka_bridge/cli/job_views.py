"""Jobs, services and workers as rows, as lines and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import typer

from kafka_bridge.cli.tables import print_rows
from kafka_bridge.monitor.jobs import Durations, JobView, ServiceView, ShownState, WorkerView
from kafka_bridge.protocol.messages import Task
from kafka_bridge.protocol.progress_text import duration, progress_text
from kafka_bridge.protocol.sanitize import one_line

NOTHING = "–"
NEWS_BYTES = 300


def print_json(facts: Iterable[dict[str, Any]]) -> None:
    """Print one JSON object per line."""
    for each in facts:
        typer.echo(json.dumps(each))


def print_jobs(jobs: Iterable[JobView], now: datetime) -> None:
    """Print a table with one row for each job."""
    names = ("job", "state", "type", "task", "worker", "for", "news")
    print_rows(names, [job_row(job, now) for job in jobs])


def job_row(job: JobView, now: datetime) -> tuple[str, ...]:
    """Return the cells of a job: id, state, type, task, worker, how long, and what is new."""
    return (
        job.correlation_id,
        job.state,
        job.job_type or NOTHING,
        task_name(job.task),
        job.worker_id or NOTHING,
        _how_long(job, now),
        news(job) or NOTHING,
    )


def task_name(task: Task | None) -> str:
    """Return a task in a word: ``dag.task``, of a mapped one ``dag.task[3]``."""
    if task is None:
        return NOTHING
    index = "" if task.map_index < 0 else f"[{task.map_index}]"
    return f"{task.dag_id}.{task.task_id}{index}"


def _how_long(job: JobView, now: datetime) -> str:
    """Return how long a job has been in its state."""
    if job.state.is_end:
        return f"{_ago(job.ended_at, now)} ago"
    return _ago(job.queued_since if job.state is ShownState.QUEUED else job.started_at, now)


def _ago(moment: datetime | None, now: datetime) -> str:
    return NOTHING if moment is None else duration(max(0.0, (now - moment).total_seconds()))


def news(job: JobView) -> str:
    """Return what is new of a job: its error, or its progress and message."""
    if job.error is not None:
        return one_line(f"{job.error.type}: {job.error.message}", NEWS_BYTES)
    parts = [job.message]
    if job.progress is not None and not job.state.is_end:
        parts.insert(0, progress_text(job.progress, job.rate))
    if job.cancel is not None and not job.state.is_end:
        parts.append(f"CANCEL sent: {job.cancel.reason or 'no reason was given'}")
    return one_line(" – ".join(filter(None, parts)), NEWS_BYTES)


def job_line(job: JobView) -> str:
    """Return the last news of a job in a line that begins with its time."""
    at = job.last_event_at or job.requested_at
    words = [shown_time(at), job.correlation_id, job.state, job.job_type, job.worker_id, news(job)]
    return "  ".join(filter(None, words))


def job_facts(job: JobView) -> dict[str, Any]:
    """Return a job for JSON. Times are ISO 8601 texts in UTC, durations are in seconds."""
    task, request, progress, error = job.task, job.request, job.progress, job.error
    return {
        "correlation_id": job.correlation_id,
        "state": job.state,
        "job_type": job.job_type,
        "topic": job.topic,
        "source": task and task.source,
        "dag_id": task and task.dag_id,
        "run_id": task and task.run_id,
        "task_id": task and task.task_id,
        "map_index": task.map_index if task else None,
        "try_number": task.try_number if task else None,
        "url": task and task.url,
        "attempt": request and request.attempt,
        "delivery": job.delivery,
        "worker_id": job.worker_id,
        "external_id": job.external_id,
        "checkpoint": job.checkpoint,
        "message": job.message,
        "progress": progress
        and {
            "completed": progress.completed,
            "total": progress.total,
            "unit": progress.unit,
            "per_second": job.rate,
            "seconds_left": job.seconds_left,
        },
        "error": error
        and {"type": error.type, "message": error.message, "retryable": error.retryable},
        "cancel": job.cancel
        and {"reason": job.cancel.reason, "issued_at": job.cancel.issued_at.isoformat()},
        "requested_at": _iso(job.requested_at),
        "accepted_at": _iso(job.accepted_at),
        "started_at": _iso(job.started_at),
        "ended_at": _iso(job.ended_at),
        "last_event_at": _iso(job.last_event_at),
        "request": str(request.location) if request else None,
        "response_topic": request and request.response_topic,
        "last_event": str(job.last_event) if job.last_event else None,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def shown_time(moment: datetime | None) -> str:
    """Return a moment for people."""
    return NOTHING if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def print_services(services: Iterable[ServiceView], now: datetime) -> None:
    """Print a table with one row for each request topic."""
    names = ("queue", "queued", "oldest", "running", "ended/min", "failed/min", "waited", "ran")
    rows = [
        (
            each.topic,
            f"{each.queued:,}",
            _ago(each.oldest_queued_since, now),
            f"{each.held:,}",
            f"{each.ended_per_minute:,.1f}",
            f"{each.failed_per_minute:,.1f}",
            _durations(each.waiting),
            _durations(each.running),
        )
        for each in services
    ]
    print_rows(names, rows)


def _durations(found: Durations | None) -> str:
    if found is None:
        return NOTHING
    return f"{duration(found.p50)}, p95 {duration(found.p95)}"


def service_facts(service: ServiceView) -> dict[str, Any]:
    """Return a service for JSON; durations are in seconds."""
    return {
        "topic": service.topic,
        "queued": service.queued,
        "oldest_queued_since": _iso(service.oldest_queued_since),
        "running": service.held,
        "ended_per_minute": service.ended_per_minute,
        "failed_per_minute": service.failed_per_minute,
        "waited": _percentiles(service.waiting),
        "ran": _percentiles(service.running),
    }


def _percentiles(found: Durations | None) -> dict[str, float] | None:
    return None if found is None else {"p50": found.p50, "p95": found.p95}


def print_workers(workers: Iterable[WorkerView], now: datetime) -> None:
    """Print a table with one row for each worker."""
    rows = [
        (
            each.worker_id,
            each.state,
            f"{each.held:,}",
            f"{_ago(each.last_event_at, now)} ago",
            ", ".join(each.topics) or NOTHING,
        )
        for each in workers
    ]
    print_rows(("worker", "state", "jobs", "last event", "queues"), rows)


def worker_facts(worker: WorkerView) -> dict[str, Any]:
    """Return a worker for JSON."""
    return {
        "worker_id": worker.worker_id,
        "state": worker.state,
        "jobs": worker.held,
        "topics": list(worker.topics),
        "last_event_at": worker.last_event_at.isoformat(),
    }
