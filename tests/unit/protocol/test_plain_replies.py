"""Plain requests and replies, as Spring and NestJS services read and write them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobFailure, JobState, StatusEvent
from kafka_bridge.protocol.plain_replies import plain_end, plain_request

from .samples import JOB, NOW, REQUEST

CORRELATED: Headers = [("kafka_correlationId", JOB.encode())]


def end(
    value: bytes | None, headers: Headers = CORRELATED, key: bytes | None = None
) -> StatusEvent:
    """Return what a reply means."""
    ended = plain_end(key, value, headers, NOW)
    assert ended is not None
    return ended


@pytest.mark.parametrize(
    ("payload", "value"), [(b'{"n":1}', b'{"n":1}'), (b"raw", b"raw"), (None, b"null")]
)
def test_request(payload: bytes | None, value: bytes) -> None:
    """The value is the payload itself, with the two headers, and never without a value."""
    media_type = None if payload is None else "application/json"
    asked = replace(REQUEST, payload=payload, payload_type=media_type)
    assert plain_request(asked) == (
        value,
        [("kafka_correlationId", JOB.encode()), ("kafka_replyTopic", b"jobs.responses")],
    )


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        (b'{"made":2}', "application/json"),
        (b"3", "application/json"),
        (b"done", "text/plain"),
        (b"", "text/plain"),
        (b"\xff\x00", "application/octet-stream"),
        (None, None),
    ],
)
def test_reply(value: bytes | None, media_type: str | None) -> None:
    """Whatever comes is the result, as what it can be read as."""
    ended = end(value)
    assert (ended.state, ended.correlation_id) == (JobState.SUCCEEDED, JOB)
    assert (ended.result, ended.result_type) == (value, media_type)
    assert ended.occurred_at == NOW


def test_reply_without_headers_is_matched_by_its_key() -> None:
    """A service that repeats the key alone says by that which job it is."""
    assert end(b"1", headers=[], key=JOB.encode()).correlation_id == JOB


@pytest.mark.parametrize("header", [b"", b"order 17", JOB.upper().encode()])
def test_header_that_is_not_an_id_gives_way_to_the_key(header: bytes) -> None:
    """A header of the service's own hides no key that is an id."""
    headers = [("kafka_correlationId", header)]
    assert end(b"1", headers, key=JOB.encode()).correlation_id == JOB


@pytest.mark.parametrize("key", [None, b"mine"])
def test_reply_that_names_no_job_is_ignored(key: bytes | None) -> None:
    """A record that names no job is nobody's end."""
    assert plain_end(key, b"1", [], NOW) is None


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"status":"error","message":"no such file"}', "no such file"),
        (b'{"status":"error"}', '{"status":"error"}'),
        (b'"disk full"', "disk full"),
        (b"disk full", "disk full"),
        (b"acc\xe8s refus\xe9", "acc\\xe8s refus\\xe9"),
        (b"", "the service gives no reason"),
        (None, "the service gives no reason"),
    ],
)
def test_error_header_of_nest_is_a_failure(header: Any, message: str) -> None:
    """NestJS's error header beside a null value is a failure with its message; retries may help."""
    ended = end(None, [*CORRELATED, ("kafka_nest-err", header)])
    assert ended.state is JobState.FAILED
    assert ended.error == JobFailure("error", message, None, retryable=True)


def test_error_header_beside_a_result() -> None:
    """A reply that has a value is a result, whatever its headers say."""
    ended = end(b"1", [*CORRELATED, ("kafka_nest-err", b"x")])
    assert ended.state is JobState.SUCCEEDED
