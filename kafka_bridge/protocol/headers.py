"""Record headers: CloudEvents 1.0 in binary mode, and those of Spring Kafka and NestJS.

Sources: the CloudEvents Kafka protocol binding 1.0 (attributes as ``ce_`` headers), Spring Kafka's
``KafkaHeaders`` (``kafka_correlationId``, ``kafka_replyTopic``, ``kafka_dlt-…``). Where headers and
value disagree, the value wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import quote

from kafka_bridge.protocol.encodings import CONTENT_TYPES, Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.messages import JobCommand, JobRequest, Task
from kafka_bridge.protocol.sanitize import ERROR_MESSAGE_BYTES, NAME_BYTES, one_line

Headers: TypeAlias = list[tuple[str, bytes]]

RawHeaders: TypeAlias = Iterable[tuple[str, bytes | None]]
"""Headers of a record, in which a value may be missing."""

_CONTENT_TYPE = {each: ("content-type", text.encode()) for each, text in CONTENT_TYPES.items()}
_TRACE_BYTES = {"traceparent": 256, "tracestate": 2_048}
"""Headers of W3C Trace Context, with the longest value that is passed on. The first one has 55
bytes in version 00, the second one should have up to 512."""

CORRELATION_ID = "kafka_correlationId"
REPLY_TOPIC = "kafka_replyTopic"
SUBMISSION = "kafka-bridge-submission"
"""The header in which Airflow tells the later tries of a task about a request; JSON."""
JOB_REQUESTED = "kafka-bridge.job.requested.v1"
DEAD_LETTER_PREFIX = "kafka_dlt-"


def request_headers(request: JobRequest, encoding: Encoding) -> Headers:
    """Return the headers of a job request: CloudEvents attributes, and two for request-reply."""
    texts = {
        "content-type": CONTENT_TYPES[encoding],
        "ce_specversion": "1.0",
        "ce_id": request.correlation_id,
        "ce_source": _source(request.task),
        "ce_type": JOB_REQUESTED,
        "ce_time": _rfc3339(request.created_at),
        "ce_correlationid": request.correlation_id,
        CORRELATION_ID: request.correlation_id,
        REPLY_TOPIC: request.response_topic,
    }
    return _encoded(texts)


def event_headers(key: bytes, encoding: Encoding, request: RawHeaders) -> Headers:
    """Return the headers of a status event.

    :param key: the correlation id, as bytes
    :param request: the headers of the job's request, from which the trace context is copied
    """
    headers: Headers = [_CONTENT_TYPE[encoding], (CORRELATION_ID, key)]
    traces = [each for each in request if each[0] in _TRACE_BYTES]
    return headers + _trace_context(traces) if traces else headers


def _trace_context(headers: RawHeaders) -> Headers:
    """Return the headers of W3C Trace Context; without a ``traceparent``, an empty list."""
    found = {
        name: value
        for name, value in headers
        if value is not None and 0 < len(value) <= _TRACE_BYTES[name]
    }
    return list(found.items()) if "traceparent" in found else []


def command_headers(command: JobCommand, encoding: Encoding) -> Headers:
    """Return the headers of a job command: its encoding and its job."""
    return _encoded(
        {"content-type": CONTENT_TYPES[encoding], CORRELATION_ID: command.correlation_id}
    )


def _encoded(texts: dict[str, str]) -> Headers:
    return [(name, text.encode("utf-8")) for name, text in texts.items()]


def _source(task: Task | None) -> str:
    if task is None:
        return "/airflow"
    return "/airflow/" + "/".join(
        quote(part, safe="") for part in (task.source, task.dag_id, task.task_id)
    )


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dead_letter_headers(
    location: RecordLocation, timestamp_ms: int, error: BaseException
) -> Headers:
    """Return the headers that a dead letter gets in addition to those of the request.

    Spring writes partition, offset and timestamp as big-endian integers of 4, 8 and 8 bytes.
    """
    kind = type(error)
    return [
        ("kafka_dlt-original-topic", location.topic.encode("utf-8")),
        ("kafka_dlt-original-partition", location.partition.to_bytes(4, "big", signed=True)),
        ("kafka_dlt-original-offset", location.offset.to_bytes(8, "big", signed=True)),
        ("kafka_dlt-original-timestamp", timestamp_ms.to_bytes(8, "big", signed=True)),
        ("kafka_dlt-exception-fqcn", f"{kind.__module__}.{kind.__qualname__}".encode()),
        ("kafka_dlt-exception-message", str(error).encode("utf-8", "replace")),
    ]


@dataclass(frozen=True, slots=True)
class DeadLetterHeaders:
    """The headers that make a record a dead letter: its original location, and the error.

    ``original`` and ``timestamp_ms`` (milliseconds since 1970) are None, and texts are empty, if
    their headers are missing or cannot be read.
    """

    original: RecordLocation | None
    timestamp_ms: int | None
    error_type: str
    error_message: str


def read_dead_letter_headers(headers: Headers) -> DeadLetterHeaders:
    """Return what :func:`dead_letter_headers` wrote, or as much of it as can be read."""
    topic = _shown(headers, "kafka_dlt-original-topic", NAME_BYTES)
    partition = _integer_header(headers, "kafka_dlt-original-partition", 4)
    offset = _integer_header(headers, "kafka_dlt-original-offset", 8)
    original = None
    if topic and partition is not None and offset is not None:
        original = RecordLocation(topic, partition, offset)
    return DeadLetterHeaders(
        original,
        _integer_header(headers, "kafka_dlt-original-timestamp", 8),
        _shown(headers, "kafka_dlt-exception-fqcn", NAME_BYTES),
        _shown(headers, "kafka_dlt-exception-message", ERROR_MESSAGE_BYTES),
    )


def _shown(headers: Headers, name: str, limit: int) -> str:
    """Return a header's text, cleaned and cut; empty if the header is missing."""
    return one_line(text_header(headers, name) or "", limit)


def without_dead_letter_headers(headers: Headers) -> Headers:
    """Return the headers that a record had before it became a dead letter."""
    return [each for each in headers if not each[0].startswith(DEAD_LETTER_PREFIX)]


def _integer_header(headers: Headers, name: str, size: int) -> int | None:
    values = [value for key, value in headers if key == name and value is not None]
    if not values or len(values[-1]) != size:
        return None
    return int.from_bytes(values[-1], "big", signed=True)


def text_header(headers: Iterable[tuple[str, bytes | None]] | None, name: str) -> str | None:
    """Return the last header of that name as text, or None if it is missing or not UTF-8."""
    values = [value for key, value in headers or () if key == name and value is not None]
    try:
        return values[-1].decode("utf-8") if values else None
    except UnicodeDecodeError:
        return None
