"""A service that audits directories, over HTTP. It knows nothing of Kafka, nor of Airflow.

Run it with ``uvicorn http_service:app --app-dir examples``. A gateway with ``gateway.yaml`` has it
do jobs, by asking how they are or by being called back.
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
    """What to audit, and where to call back, if anywhere."""

    callback_url: str | None = None


class Progress(BaseModel):
    """How far an audit is."""

    completed: int
    total: int
    unit: str = "files"


class Error(BaseModel):
    """Why an audit failed."""

    type: str
    message: str
    retryable: bool = True


class Status(BaseModel):
    """How an audit is: what GET answers, and what is posted to the callback URL."""

    status: Literal["running", "completed", "failed", "cancelled"] = "running"
    progress: Progress | None = None
    message: str | None = None
    result: AuditReport | None = None
    error: Error | None = None


class Cancelled(Exception):
    """Nobody wants this audit any more."""


@dataclass
class Audit:
    """One audit. ``key``: what whoever submitted it told it by."""

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
    """Start an audit. Submitted again with the same key, it is the same audit."""
    audit = Audit(submission, idempotency_key)
    known = audits.setdefault(job_id, audit)
    if known is audit:
        pool.submit(run, audit)
    elif idempotency_key is None or idempotency_key != known.key:
        raise HTTPException(HTTPStatus.CONFLICT, f"there is an audit {job_id} already")
    return known.status


@app.get("/jobs/{job_id}", response_model_exclude_none=True)
def status(job_id: str) -> Status:
    """Say how an audit is."""
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
    """Do an audit, and tell its end to whoever wants to be called back."""
    audit.status = outcome(audit)
    if audit.submission.callback_url is not None:
        try:
            call_back_at_last(audit.submission.callback_url, audit.status)
        except httpx.HTTPError as error:
            log.warning("The end of an audit was told in vain: %s", error)


def outcome(audit: Audit) -> Status:
    directory = audit.submission.directory
    if not directory.is_dir():
        words = f"{directory} is no directory on this machine"
        error = Error(type="directory_not_found", message=words, retryable=False)
        return Status(status="failed", error=error)
    try:
        report = audit_directory(audit.submission, lambda *said: tell(audit, *said))
    except Cancelled:
        return Status(status="cancelled")
    except OSError as error:
        return Status(status="failed", error=Error(type=type(error).__name__, message=str(error)))
    return Status(status="completed", progress=audit.status.progress, result=report)


def tell(audit: Audit, number: int, total: int, name: str) -> None:
    """Say how far an audit is, and stop it where it is cancelled."""
    if audit.cancelled.is_set():
        raise Cancelled
    progress = Progress(completed=number, total=total)
    audit.status = Status(progress=progress, message=f"hashing {name}")
    url, now = audit.submission.callback_url, time.monotonic()
    if url is not None and now >= audit.next_callback:
        audit.next_callback = now + SECONDS_BETWEEN_CALLBACKS
        try:
            call_back(url, audit.status)
        except httpx.HTTPError as error:  # the next one says more, and the end is what counts
            log.info("The progress of an audit was told in vain: %s", error)


def call_back(url: str, status: Status) -> None:
    body = status.model_dump(mode="json", exclude_none=True)
    httpx.post(url, json=body, timeout=10, trust_env=False).raise_for_status()


def may_pass(error: BaseException) -> bool:
    """Return whether it may help to call back again: nobody was there, or not able to listen."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error or error.response.status_code == 429
    return isinstance(error, httpx.TransportError)


call_back_at_last = retry(
    retry=retry_if_exception(may_pass),
    wait=wait_random_exponential(max=10),
    stop=stop_after_delay(SECONDS_OF_RETRIES),
    reraise=True,
)(call_back)
"""The end is told until it is heard: whoever waits for it may be away for a while."""
