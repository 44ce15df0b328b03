"""A message of each type, to be varied with ``dataclasses.replace``; and the golden files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import (
    Command,
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

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
NOW = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
NOW_MS = 1_772_368_215_250

REFERENCE = Reference("s3://bucket/object", "0a" * 32, 42)
TASK = Task("production", "nightly", "manual__2026-03-01", "files.audit", 3, 2, "https://a.example")
REQUEST = JobRequest(
    correlation_id=JOB,
    job_type="files.audit",
    payload=b'{"path":"/data"}',
    payload_type="application/json",
    payload_ref=REFERENCE,
    response_topic="jobs.responses",
    created_at=NOW,
    expires_at=NOW,
    deadline=NOW,
    task=TASK,
    attributes={"team": "data"},
)
EVENT = StatusEvent(
    correlation_id=JOB,
    event_id="e-1",
    sequence=0,
    state=JobState.RUNNING,
    occurred_at=NOW,
    worker_id="w-1",
    message="working",
    progress=Progress(1.0, 2.0, "files"),
    external_id="4711",
    result=b"\x00\xff",
    result_type="application/octet-stream",
    result_ref=REFERENCE,
    error=JobFailure("disk_full", "No space left", "Traceback", retryable=True),
    attributes={"zone": "a"},
)
COMMAND = JobCommand(
    correlation_id=JOB,
    command=Command.CANCEL,
    reason="enough",
    issued_at=NOW,
    attributes={"by": "alice"},
)
FULL: tuple[Message, ...] = (REQUEST, EVENT, COMMAND)
"""One message of each type, with every field set."""

MESSAGE_TYPES: tuple[type[Message], ...] = (JobRequest, StatusEvent, JobCommand)


def document(message: Message) -> dict[str, Any]:
    """Return a message as its JSON object."""
    parsed: dict[str, Any] = json.loads(encode(message, Encoding.JSON))
    return parsed


def golden_values() -> list[tuple[type[Message], bytes]]:
    """Return every canonical golden file, with its message type."""
    folder = resources.files("kafka_bridge.schemas") / "golden" / "v1"
    index = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    types = {message_type.__name__: message_type for message_type in MESSAGE_TYPES}
    return [
        (types[case["message"]], (folder / case[encoding]).read_bytes())
        for case in index["cases"]
        for encoding in ("avro", "json")
    ]
