"""Callbacks as records of their topic: the body as it came, and in headers what it is."""

from __future__ import annotations

from kafka_bridge.protocol.headers import Headers, text_header

JOB_TYPE = "kafka-bridge-job-type"
ENDS_JOB = "kafka-bridge-ends-job"


def callback_headers(job_type: str, *, ends_job: bool) -> Headers:
    """Return the headers of a callback's record."""
    texts = {
        "content-type": "application/json",
        JOB_TYPE: job_type,
        ENDS_JOB: "true" if ends_job else "false",
    }
    return [(name, text.encode()) for name, text in texts.items()]


def ends_job(headers: Headers) -> bool:
    """Tell whether a callback with these headers is its job's end."""
    return text_header(headers, ENDS_JOB) == "true"
