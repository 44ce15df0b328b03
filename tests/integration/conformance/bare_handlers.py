"""The job types of the bare worker."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from integration.conformance.faults import fault
from kafka_bridge.protocol.media_types import JSON, is_json
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobRequest

Outcome: TypeAlias = tuple[bytes | None, str | None]
"""A result and its media type."""
Progressed: TypeAlias = Callable[[int, int], None]
Handler: TypeAlias = Callable[[JobRequest, int, threading.Event, Progressed], Outcome]

NOTES = os.environ.get("KAFKA_BRIDGE_CONFORMANCE_NOTES", os.devnull)


class Stopped(Exception):
    """The job was asked to stop, and has stopped."""


class JobFailed(Exception):
    """The job failed."""

    def __init__(self, failure: JobFailure) -> None:
        self.failure = failure
        super().__init__(failure.message)


def note(word: str, job: str) -> None:
    """Append a line to the notes."""
    file = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word} {job}\n".encode())
    os.close(file)


def as_json(value: Any) -> Outcome:
    """Return a value as a result."""
    return json.dumps(value).encode(), JSON


def payload_of(request: JobRequest) -> dict[str, Any]:
    """Return a payload that has to be a JSON object.

    :raises JobFailed: it is not
    """
    kind = "PayloadError" if fault("own-payload-error") else ErrorType.INVALID_PAYLOAD
    try:
        payload = json.loads(request.payload or b"")
    except ValueError as error:
        if fault("unparsed-payload-is-empty"):
            return {"seconds": 0}
        raise JobFailed(JobFailure(ErrorType.INVALID_PAYLOAD, str(error))) from error
    if not isinstance(payload.get("seconds", 0), int | float):
        raise JobFailed(JobFailure(kind, "seconds must be a number"))
    return dict(payload)


def _echo(request: JobRequest, *_: Any) -> Outcome:
    kind, payload = request.payload_type, request.payload
    if kind is None or payload is None:
        return as_json({"type": None})
    if kind == JSON or (is_json(kind) and not fault("only-plain-json")):
        parse = float if fault("integers-as-doubles") else int
        return as_json({"type": kind, "json": json.loads(payload, parse_int=parse)})
    return as_json({"type": kind, "base64": base64.b64encode(payload).decode()})


def _bytes(*_: Any) -> Outcome:
    value = bytes(range(256))
    if fault("result-as-text"):
        value = value.decode("latin-1").encode()
    return value, "application/octet-stream"


def _sleep(request: JobRequest, _: int, stop: threading.Event, __: Progressed) -> Outcome:
    payload = payload_of(request)
    if payload.get("stubborn"):
        threading.Event().wait(payload["seconds"])
    elif stop.wait(payload["seconds"]):
        raise Stopped
    return as_json({"slept": payload["seconds"]})


def _progress(request: JobRequest, _: int, __: threading.Event, progress: Progressed) -> Outcome:
    payload = payload_of(request)
    for step in range(1, payload["steps"] + 1):
        threading.Event().wait(payload["seconds"])
        progress(step, payload["steps"])
    return as_json({"steps": payload["steps"]})


def _fail(request: JobRequest, *_: Any) -> Outcome:
    payload = payload_of(request)
    retryable = payload["retryable"] or fault("always-retryable")
    raise JobFailed(JobFailure(payload["type"], payload["message"], retryable=retryable))


def _crash(_: JobRequest, delivery: int, *__: Any) -> Outcome:
    if delivery == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return as_json({"delivery": delivery})


HANDLERS: dict[str, Handler] = {
    "test.echo": _echo,
    "test.bytes": _bytes,
    "test.sleep": _sleep,
    "test.progress": _progress,
    "test.fail": _fail,
    "test.crash": _crash,
}
