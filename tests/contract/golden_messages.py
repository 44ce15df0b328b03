"""The messages of protocol version 1 whose bytes are kept in ``schemas/golden/v1``.

One table, read in both directions: encoding a message gives its files, decoding the files gives
the message. Maps have one entry at most, as Avro does not say in which order entries are written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from kafka_bridge.protocol.messages import (
    INT_MAX,
    LONG_MAX,
    Command,
    ErrorType,
    JobCommand,
    JobFailure,
    JobRequest,
    JobState,
    Message,
    Progress,
    Reference,
    StatusEvent,
    Task,
)

NOW = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
LONG_AGO = datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)

JOB = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"
EVENT = "b3e7c1d2-5a64-4f0b-8c1e-2d9f6a7b8001"
UNICODE = 'Ünïcödé · 日本語 · עברית · 🛰️ · "quoted" \\ back\tslash\nnew line'

REFERENCE = Reference(
    uri="s3://results/2026/03/01/audit.parquet",
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    size=7_340_032,
)
TASK = Task(
    source="production",
    dag_id="nightly",
    run_id="scheduled__2026-03-01T00:00:00+00:00",
    task_id="files.audit",
    map_index=3,
    try_number=2,
    url="https://airflow.example/dags/nightly/runs/scheduled__2026-03-01/tasks/files.audit",
)


@dataclass(frozen=True)
class Case:
    """A message and the name of its two files."""

    name: str
    description: str
    message: Message


_REQUEST = JobRequest(
    correlation_id=JOB,
    job_type="files.audit",
    response_topic="jobs.responses",
    created_at=NOW,
    heartbeat_interval_ms=0,
)
_EVENT = StatusEvent(
    correlation_id=JOB,
    event_id=EVENT,
    sequence=0,
    state=JobState.ACCEPTED,
    occurred_at=NOW,
    worker_id="audit-7c9d-0",
)
_COMMAND = JobCommand(correlation_id=JOB, command=Command.CANCEL, issued_at=NOW)
_RUNNING = replace(_EVENT, sequence=1, state=JobState.RUNNING)
_SUCCEEDED = replace(_EVENT, sequence=2, state=JobState.SUCCEEDED)
_FAILED = replace(_EVENT, sequence=2, state=JobState.FAILED)

CASES = (
    Case("request-minimal", "Only what a request must have.", _REQUEST),
    Case(
        "request-everything",
        "Every field but payload_ref, with a JSON payload.",
        replace(
            _REQUEST,
            attempt=2,
            payload=b'{"path":"/data/in","depth":3,"dry_run":false,"only":["*.csv"],"owner":null}',
            payload_type="application/json",
            expires_at=LATER,
            deadline=LATER + timedelta(hours=2),
            heartbeat_interval_ms=10_000,
            task=TASK,
            attributes={"team": "data-quality"},
        ),
    ),
    Case(
        "request-claim-check",
        "The payload lies elsewhere.",
        replace(_REQUEST, payload_ref=REFERENCE),
    ),
    Case(
        "request-unmapped-task",
        "map_index -1 and no url.",
        replace(_REQUEST, task=replace(TASK, map_index=-1, url=None)),
    ),
    Case(
        "request-unicode",
        "Text beyond ASCII and beyond the Basic Multilingual Plane, quotes and control characters.",
        replace(
            _REQUEST,
            job_type="файлы.überprüfen",
            task=replace(TASK, source=UNICODE, dag_id=UNICODE, run_id=UNICODE, url=None),
            attributes={"ключ 🔑": UNICODE},
        ),
    ),
    Case(
        "request-binary-payload",
        "All 256 bytes; in JSON standard base64 with +, / and padding.",
        replace(_REQUEST, payload=bytes(range(256)), payload_type="application/octet-stream"),
    ),
    Case(
        "request-text-payload",
        "Text is not JSON, so it is base64 too.",
        replace(_REQUEST, payload="größe=5".encode(), payload_type="text/plain; charset=utf-8"),
    ),
    Case(
        "request-empty-payload",
        "Zero bytes are a payload, and not the same as none.",
        replace(_REQUEST, payload=b"", payload_type="application/octet-stream"),
    ),
    Case(
        "request-json-null-payload",
        "The payload is the JSON text null, and not the same as no payload.",
        replace(_REQUEST, payload=b"null", payload_type="application/json"),
    ),
    Case(
        "request-json-numbers",
        "A type that ends in +json, with a parameter; integers that no double holds.",
        replace(
            _REQUEST,
            payload=b"[9007199254740993,9223372036854775807,-9223372036854775808,0.1,-2.5]",
            payload_type="application/vnd.example.numbers+json; charset=utf-8",
        ),
    ),
    Case(
        "request-extremes",
        "The largest integers, a time before 1970 and the last one of the year 9999.",
        replace(
            _REQUEST,
            attempt=INT_MAX,
            payload_ref=replace(REFERENCE, size=LONG_MAX),
            created_at=LONG_AGO,
            expires_at=datetime(1970, 1, 1, tzinfo=UTC),
            deadline=END_OF_TIME,
            heartbeat_interval_ms=INT_MAX,
        ),
    ),
    Case("event-accepted", "Only what an event must have.", _EVENT),
    Case("event-heartbeat", "RUNNING, and nothing else to say.", _RUNNING),
    Case(
        "event-progress",
        "Progress with total and unit.",
        replace(_RUNNING, message="Reading files", progress=Progress(1250.0, 5000.0, "files")),
    ),
    Case(
        "event-progress-without-total",
        "How much there is to do is not known.",
        replace(_RUNNING, progress=Progress(0.5)),
    ),
    Case(
        "event-released",
        "A draining worker hands the job back.",
        replace(_RUNNING, state=JobState.RELEASED),
    ),
    Case("event-succeeded", "Success without a result.", _SUCCEEDED),
    Case(
        "event-succeeded-json-result",
        "A JSON result.",
        replace(
            _SUCCEEDED,
            result='{"files":5000,"bad":["ä.csv"],"ratio":0.25}'.encode(),
            result_type="application/json",
        ),
    ),
    Case(
        "event-succeeded-json-null-result",
        "The result is the JSON text null, and not the same as no result.",
        replace(_SUCCEEDED, result=b"null", result_type="application/json"),
    ),
    Case(
        "event-succeeded-binary-result",
        "A result that is no JSON: base64.",
        replace(_SUCCEEDED, result=b"\x89PNG\r\n\x1a\n\x00\xff\xfe", result_type="image/png"),
    ),
    Case(
        "event-succeeded-claim-check",
        "The result lies elsewhere.",
        replace(_SUCCEEDED, result_ref=REFERENCE),
    ),
    Case(
        "event-failed",
        "A worker's own error.",
        replace(_FAILED, error=JobFailure("disk_full", "No space left on /data")),
    ),
    Case(
        "event-failed-retryable",
        "A reserved error that trying again may heal, with details.",
        replace(
            _FAILED,
            error=JobFailure(
                ErrorType.EXPIRED.value,
                "expires_at had passed",
                "picked up 12 s late\n  by audit-7c9d-0",
                retryable=True,
            ),
        ),
    ),
    Case(
        "event-cancelled",
        "The worker stopped the job as asked.",
        replace(_EVENT, sequence=2, state=JobState.CANCELLED, message="cancelled by alice"),
    ),
    Case(
        "event-unknown",
        "The state of some later version: the worker is alive.",
        replace(_RUNNING, state=JobState.UNKNOWN),
    ),
    Case(
        "event-redelivered",
        "The job's second worker says what the real system calls the job; one attribute.",
        replace(_EVENT, delivery=2, external_id="batch-4711", attributes={"zone": "eu-1b"}),
    ),
    Case(
        "event-unicode",
        "Text beyond ASCII in every text of an event.",
        replace(
            _FAILED,
            event_id=UNICODE,
            worker_id=UNICODE,
            message=UNICODE,
            progress=Progress(1.0, unit="Stück"),
            external_id=UNICODE,
            error=JobFailure("größe", UNICODE, UNICODE),
        ),
    ),
    Case(
        "event-everything",
        "Every field at once, the impossible together: for codecs only.",
        replace(
            _FAILED,
            delivery=3,
            sequence=41,
            message="gave up",
            progress=Progress(4999.0, 5000.0, "files"),
            external_id="batch-4711",
            result=b'{"partial":true}',
            result_type="application/json",
            result_ref=REFERENCE,
            error=JobFailure("disk_full", "No space left", "Traceback …", retryable=True),
            attributes={"zone": "eu-1b"},
        ),
    ),
    Case(
        "event-extremes",
        "The largest integers, the largest double and the smallest one above zero.",
        replace(
            _RUNNING,
            delivery=INT_MAX,
            sequence=LONG_MAX,
            occurred_at=END_OF_TIME,
            progress=Progress(5e-324, 1.7976931348623157e308),
        ),
    ),
    Case("command-cancel", "Only what a command must have.", _COMMAND),
    Case(
        "command-everything",
        "Every field, with text beyond ASCII.",
        replace(_COMMAND, reason=UNICODE, attributes={"asked-by": "алиса"}),
    ),
    Case(
        "command-unknown",
        "A command of some later version: to be ignored.",
        replace(_COMMAND, command=Command.UNKNOWN),
    ),
)

BY_NAME = {case.name: case for case in CASES}
