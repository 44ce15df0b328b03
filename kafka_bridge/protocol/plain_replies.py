"""Plain requests and replies, for services that do not use this protocol (level 0).

An unchanged Spring Kafka listener with ``@SendTo`` or a NestJS microservice receives the payload
itself, with the two headers that it needs. Its only reply finishes the job: the value is the
result, unless NestJS marks a failure in a header. (Spring has no such mark.)
"""

from __future__ import annotations

from datetime import datetime

from kafka_bridge.protocol.headers import CORRELATION_ID, REPLY_TOPIC, Headers, text_header
from kafka_bridge.protocol.ids import correlation_id_from_key, is_correlation_id
from kafka_bridge.protocol.media_types import JSON, from_json
from kafka_bridge.protocol.messages import JobFailure, JobRequest, JobState, StatusEvent

NEST_ERROR = "kafka_nest-err"
"""The header with the error of a NestJS service. The reply's value is then null."""


class PlainSeries:
    """Writes plain requests: the payload itself, and two headers.

    It has the methods of :class:`~kafka_bridge.protocol.request_series.RequestSeries`.

    :param response_topic: the topic for the service's replies
    :param more_headers: additional headers of all requests
    """

    def __init__(self, response_topic: str, more_headers: Headers | None = None) -> None:
        self._headers = [(REPLY_TOPIC, response_topic.encode("utf-8")), *(more_headers or [])]

    def headers(self, job: str) -> Headers:
        """Return the headers of the request with this id."""
        return [(CORRELATION_ID, job.encode("utf-8")), *self._headers]

    def value(self, job: str, payload: bytes | None, payload_type: str | None) -> bytes:  # noqa: ARG002
        """Return the request with this payload.

        Without a payload the value is JSON's ``null``: a record without a value is a tombstone.
        """
        return b"null" if payload is None else payload


def plain_request(request: JobRequest) -> tuple[bytes, Headers]:
    """Return a job as a plain request: value and headers."""
    job, series = request.correlation_id, PlainSeries(request.response_topic)
    return series.value(job, request.payload, request.payload_type), series.headers(job)


def plain_end(
    key: bytes | None, value: bytes | None, headers: Headers, occurred_at: datetime
) -> StatusEvent | None:
    """Return a plain reply as the terminal event that a worker would have published.

    :param occurred_at: the record's timestamp
    :returns: None if neither the header nor the key has a correlation id
    """
    named = text_header(headers, CORRELATION_ID) or ""
    job = named if is_correlation_id(named) else correlation_id_from_key(key)
    if job is None:
        return None
    fields = dict(headers)
    error = _failure(fields[NEST_ERROR]) if value is None and NEST_ERROR in fields else None
    return StatusEvent(
        correlation_id=job,
        event_id=job,
        sequence=0,
        state=JobState.SUCCEEDED if error is None else JobState.FAILED,
        occurred_at=occurred_at,
        worker_id="",
        result=value,
        result_type=None if value is None else _media_type(value),
        error=error,
    )


def _media_type(value: bytes) -> str:
    """Return the media type of a reply's value, found by decoding it."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "application/octet-stream"
    try:
        from_json(value)
    except ValueError:
        return "text/plain"
    return JSON if text else "text/plain"


def _failure(header: bytes | None) -> JobFailure:
    """Return the error in NestJS's header: ``{"status": "error", "message": "…"}``, or any text.

    A header without a value, or one that is not UTF-8, marks a failure, too.
    """
    text = (header or b"").decode("utf-8", "backslashreplace")
    try:
        said = from_json(text.encode("utf-8"))
    except ValueError:
        said = text
    message = said.get("message", text) if isinstance(said, dict) else said
    return JobFailure("error", str(message) or "the service gives no reason", retryable=True)
