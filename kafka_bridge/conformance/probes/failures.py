"""Jobs that fail: the error that the task receives."""

from __future__ import annotations

from dataclasses import replace

from kafka_bridge.conformance.events import Event
from kafka_bridge.conformance.job_types import ECHO, FAIL, SLEEP
from kafka_bridge.conformance.probe import running
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import Unmet, expect
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.media_types import JSON
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobRequest, JobState, Reference

NOWHERE = Reference("https://127.0.0.1:9/payload", "0" * 64, 1)
"""A reference to bytes that nobody can fetch: port 9 is that of the discard protocol."""


def fails_with(stage: Stage, job: JobRequest, error_type: str, *, retryable: bool) -> Event:
    """Check how a job ends, whose request was published.

    :raises Unmet: it does not end as FAILED with this error
    """
    end = stage.ends_as(job, JobState.FAILED)
    error = error_of(end)
    wanted = f"error {error_type}, {_words(retryable)}"
    came = f"it is {error.type}, {_words(error.retryable)}: {error.message}"
    expect((error.type, error.retryable) == (error_type, retryable), wanted, came, end.record)
    return end


def error_of(end: Event) -> JobFailure:
    """Return the error of a FAILED event.

    :raises Unmet: it has none
    """
    if end.status.error is None:
        raise Unmet("a FAILED event with its error", "it has none", end.record)
    return end.status.error


def _words(retryable: bool) -> str:
    return "retryable" if retryable else "not retryable"


@running(
    "L1-ERROR-OWN", "FAILED has the worker's error: type, message, and whether a retry may help."
)
def own(stage: Stage) -> None:
    """A retryable error, and one that is not."""
    for retryable in (True, False):
        facts = {"type": "disk_full", "message": "No space left on /data", "retryable": retryable}
        job = stage.request(FAIL, facts)
        stage.publish(job)
        end = fails_with(stage, job, "disk_full", retryable=retryable)
        message = error_of(end).message
        expect(
            message == facts["message"],
            f"the message {facts['message']!r}",
            f"it is {message!r}",
            end.record,
        )


@running("L1-ERROR-JOB-TYPE", "A job of an unknown type fails as unknown_job_type, not retryable.")
def unknown_job_type(stage: Stage) -> None:
    """A type that no worker has."""
    job = stage.request("test.no-such-type", {})
    stage.publish(job)
    fails_with(stage, job, ErrorType.UNKNOWN_JOB_TYPE, retryable=False)


@running("L1-ERROR-PAYLOAD", "A payload that is not valid fails the job as invalid_payload.")
def invalid_payload(stage: Stage) -> None:
    """Text where a number belongs."""
    job = stage.request(SLEEP, {"seconds": "soon"})
    stage.publish(job)
    fails_with(stage, job, ErrorType.INVALID_PAYLOAD, retryable=False)


@running(
    "L1-ERROR-NOT-JSON",
    "Avro may carry bytes that are declared as JSON and are not: this is invalid_payload.",
    encodings=(Encoding.AVRO,),
)
def not_json(stage: Stage) -> None:
    """Half of a JSON document."""
    job = replace(stage.request(SLEEP), payload=b'{"half": ', payload_type=JSON)
    stage.publish(job)
    fails_with(stage, job, ErrorType.INVALID_PAYLOAD, retryable=False)


@running("L1-ERROR-REFERENCE", "A worker never ignores a payload_ref.")
def reference(stage: Stage) -> None:
    """A reference that cannot be fetched: a worker that fetches references has its own error."""
    job = replace(stage.request(ECHO), payload_ref=NOWHERE)
    stage.publish(job)
    end = stage.ends_as(job, JobState.FAILED)
    error = error_of(end)
    expect(
        error.type != ErrorType.UNSUPPORTED_REFERENCE or not error.retryable,
        "unsupported_reference, not retryable",
        "it is retryable",
        end.record,
    )
