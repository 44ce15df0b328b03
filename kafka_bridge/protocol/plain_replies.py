"""Plain request and reply, for services that know nothing of this protocol (level 0).

A stock Spring Kafka listener with ``@SendTo`` or a NestJS microservice gets the payload itself,
with the two headers that it looks for, and its one reply is the job's end: the value is the result,
unless NestJS marks a failure in a header. (Spring marks none.)
"""

from __future__ import annotations

from datetime import datetime

from kafka_bridge.protocol.headers import CORRELATION_ID, REPLY_TOPIC, Headers, text_header
from kafka_bridge.protocol.ids import correlation_id_from_key
from kafka_bridge.protocol.media_types import JSON, from_json
from kafka_bridge.protocol.messages import JobFailure, JobRequest, JobState, StatusEvent

NEST_ERROR = "kafka_nest-err"
"""The header in which NestJS says why it failed; the reply's value is null then."""


def plain_request(request: JobRequest) -> tuple[bytes, Headers]:
    """Return a job as a stock service takes it: value and headers.

    A job without a payload is JSON's ``null``: a record without a value would be a tombstone.
    """
    headers = {CORRELATION_ID: request.correlation_id, REPLY_TOPIC: request.response_topic}
    value = b"null" if request.payload is None else request.payload
    return value, [(name, text.encode("utf-8")) for name, text in headers.items()]


def plain_end(
    key: bytes | None, value: bytes | None, headers: Headers, occurred_at: datetime
) -> StatusEvent | None:
    """Return a plain reply as the terminal event that a worker would have sent.

    :param occurred_at: the record's timestamp
    :returns: None where neither header nor key says which job this is
    """
    job = text_header(headers, CORRELATION_ID) or correlation_id_from_key(key)
    if job is None:
        return None
    failure = text_header(headers, NEST_ERROR) if value is None else None
    return StatusEvent(
        correlation_id=job,
        event_id=job,
        sequence=0,
        state=JobState.SUCCEEDED if failure is None else JobState.FAILED,
        occurred_at=occurred_at,
        worker_id="",
        result=value,
        result_type=None if value is None else _media_type(value),
        error=None if failure is None else _failure(failure),
    )


def _media_type(value: bytes) -> str:
    """Tell what a reply's value is, which nothing says."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "application/octet-stream"
    try:
        from_json(value)
    except ValueError:
        return "text/plain"
    return JSON if text else "text/plain"


def _failure(header: str) -> JobFailure:
    """Return what NestJS says: ``{"status": "error", "message": "…"}``, or any text."""
    try:
        said = from_json(header.encode("utf-8"))
    except ValueError:
        said = header
    message = said.get("message", header) if isinstance(said, dict) else said
    return JobFailure("error", str(message), retryable=True)
