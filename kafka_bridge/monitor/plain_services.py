"""Requests to services that do not use the protocol, and their replies, as far as they are known.

Both are the payload or the result itself. What says of which job they are is in the headers.
"""

from __future__ import annotations

from datetime import UTC, datetime

from kafka_bridge.kafka.records import Received
from kafka_bridge.monitor.jobs import RequestView
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import CORRELATION_ID, REPLY_TOPIC, text_header
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.protocol.messages import StatusEvent
from kafka_bridge.protocol.plain_replies import plain_end
from kafka_bridge.protocol.sanitize import NAME_BYTES, one_line, sanitized

_EPOCH = datetime.fromtimestamp(0, UTC)


def plain_request_of(record: Received, location: RecordLocation) -> tuple[str, RequestView] | None:
    """Return the job's id and what is known of a plain request, or None if it is none.

    A request of the protocol that cannot be decoded is none: it has the headers of a CloudEvent.
    """
    headers = record.headers
    job, topic = text_header(headers, CORRELATION_ID), text_header(headers, REPLY_TOPIC)
    is_cloud_event = text_header(headers, "ce_type") is not None
    if not job or not topic or not is_correlation_id(job) or is_cloud_event:
        return None
    return job, RequestView(
        location=location,
        requested_at=_time_of(record),
        response_topic=one_line(topic, NAME_BYTES),
        is_plain=True,
    )


def reply_of(record: Received) -> StatusEvent | None:
    """Return a record as the end of its job, or None if it does not say which job that is.

    Its texts can be shown.
    """
    reply = plain_end(record.key, record.value, record.headers, _time_of(record))
    return reply and sanitized(reply)


def _time_of(record: Received) -> datetime:
    """Return a record's time; 1970 where it has none, or one outside the calendar."""
    try:
        return datetime.fromtimestamp(max(0, record.timestamp_ms) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return _EPOCH
