"""A service that audits directories over HTTP, without Kafka and Airflow.

Run it with ``uvicorn http_service:app --app-dir examples``. A gateway with ``gateway.yaml`` runs
jobs on it: it polls their status, or the service calls back.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Literal

import httpx
from auditing import AuditReport, AuditRequest, audit_directory
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random_exponential

SECONDS_BETWEEN_CALLBACKS = 0.5
SECONDS_OF_RETRIES = 3600.0

log = logging.getLogger(__name__)
app = FastAPI(title="Audits")
audits: dict[str, Audit] = {}
pool = ThreadPoolExecutor(max_workers=16)


class Submission(AuditRequest):
    """What to audit, and where to call back, if the caller wants that."""

    callback_url: str | None = None


class Progress(BaseModel):
    """The progress of an audit."""

    completed: int
    total: int
    unit: str = "files"


class Error(BaseModel):
    """Why an audit failed."""

    type: str
    message: str
    retryable: bool = True


class Status(BaseModel):
    """The status of an audit: the answer to GET, and the body of a callback."""

    status: Literal["running", "completed", "failed", "cancelled"] = "running"
    progress: Progress | None = None
    message: str | None = None
    result: AuditReport | None = None
    error: Error | None = None


class Cancelled(Exception):
    """The audit was cancelled."""


@dataclass
class Audit:
    """One audit. ``key`` is the idempotency key of its submission."""

    submission: Submission
    key: str | None
    status: Status = field(default_factory=Status)
    cancelled: threading.Event = field(default_factory=threading.Event)
    next_callback: float = 0.0


@app.post("/jobs/{job_id}", status_code=HTTPStatus.ACCEPTED)
def submit(
    job_id: str,
    submission: Submission,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Status:
    """Start an audit. Another submission with the same key returns the same audit."""
    audit = Audit(submission, idempotency_key)
    known = audits.setdefault(job_id, audit)
    if known is audit:
        pool.submit(run, audit)
    elif idempotency_key is None or idempotency_key != known.key:
        raise HTTPException(HTTPStatus.CONFLICT, f"audit {job_id} already exists")
    return known.status


@app.get("/jobs/{job_id}", response_model_exclude_none=True)
def status(job_id: str) -> Status:
    """Return the status of an audit."""
    return find(job_id).status


@app.delete("/jobs/{job_id}", status_code=HTTPStatus.ACCEPTED)
def cancel(job_id: str) -> Status:
    """Stop an audit before its next file."""
    audit = find(job_id)
    audit.cancelled.set()
    return audit.status


def find(job_id: str) -> Audit:
    if job_id not in audits:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no audit {job_id}")
    return audits[job_id]


def run(audit: Audit) -> None:
    """Run an audit; then call back if the submission asked for it."""
    audit.status = outcome(audit)
    if audit.submission.callback_url is not None:
        try:
            call_back_finally(audit.submission.callback_url, audit.status)
        except httpx.HTTPError as error:
            log.warning("The final callback of an audit failed: %s", error)


def outcome(audit: Audit) -> Status:
    directory = audit.submission.directory
    if not directory.is_dir():
        words = f"{directory} is not a directory on this machine"
        error = Error(type="directory_not_found", message=words, retryable=False)
        return Status(status="failed", error=error)
    try:
        report = audit_directory(audit.submission, lambda *file: report_progress(audit, *file))
    except Cancelled:
        return Status(status="cancelled")
    except OSError as error:
        return Status(status="failed", error=Error(type=type(error).__name__, message=str(error)))
    return Status(status="completed", progress=audit.status.progress, result=report)


def report_progress(audit: Audit, number: int, total: int, name: str) -> None:
    """Publish the progress of an audit; stop it if it is cancelled."""
    if audit.cancelled.is_set():
        raise Cancelled
    progress = Progress(completed=number, total=total)
    audit.status = Status(progress=progress, message=f"hashing {name}")
    url, now = audit.submission.callback_url, time.monotonic()
    if url is not None and now >= audit.next_callback:
        audit.next_callback = now + SECONDS_BETWEEN_CALLBACKS
        try:
            call_back(url, audit.status)
        except httpx.HTTPError as error:  # the next one has more, and the final one counts
            log.info("A progress callback of an audit failed: %s", error)


def call_back(url: str, status: Status) -> None:
    body = status.model_dump(mode="json", exclude_none=True)
    httpx.post(url, json=body, timeout=10, trust_env=False).raise_for_status()


def is_temporary(error: BaseException) -> bool:
    """Return whether a retry may help: the receiver was not reachable, or was overloaded."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error or error.response.status_code == 429
    return isinstance(error, httpx.TransportError)


call_back_finally = retry(
    retry=retry_if_exception(is_temporary),
    wait=wait_random_exponential(max=10),
    stop=stop_after_delay(SECONDS_OF_RETRIES),
    reraise=True,
)(call_back)
"""The final callback is retried: its receiver may be down for a while."""
