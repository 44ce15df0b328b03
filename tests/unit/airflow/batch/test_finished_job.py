"""Finished jobs, each from one record."""

from __future__ import annotations

import pytest

from kafka_bridge.airflow.batch.finished_job import (
    FinishedJob,
    finished_by_event,
    finished_by_reply,
)
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobFailure, JobState

from ..samples import JOB, T0, TOPIC, event

PLACE = RecordLocation(TOPIC, 0, 3)
CORRELATED: Headers = [("kafka_correlationId", JOB.encode())]


def test_damaged_failure_is_retryable() -> None:
    """The damaged part would say whether it is."""
    damaged = encode(event(JobState.FAILED, error=JobFailure("a", "b")))[:-3]
    end = finished_by_event(JobState.FAILED, damaged, PLACE)
    assert end.error is not None
    assert (end.state, end.error.type, end.error.retryable) == (JobState.FAILED, "unreadable", True)
    assert end.error.message.startswith("jobs.responses[0]@3: damaged Avro body of a StatusEvent")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (encode(event(JobState.SUCCEEDED))[:-3], "damaged Avro body of a StatusEvent"),
        (
            encode(event(JobState.SUCCEEDED, result=b"{", result_type="application/json")),
            "the result is not valid application/json",
        ),
    ],
)
def test_success_with_an_unreadable_result_is_not_retried(value: bytes, words: str) -> None:
    """Another attempt would do the same work for the same result."""
    end = finished_by_event(JobState.SUCCEEDED, value, PLACE)
    assert end.error is not None
    assert end.has_lost_result
    assert end.is_settled
    assert end.error.message.startswith(f"jobs.responses[0]@3: {words}")


def test_success_with_a_result_nested_too_deep_is_not_retried() -> None:
    """Another attempt would bring the same result."""
    deep = b"[" * 10**5 + b"]" * 10**5
    ended = event(JobState.SUCCEEDED, result=deep, result_type="application/json")
    end = finished_by_event(JobState.SUCCEEDED, encode(ended), PLACE)
    assert end.has_lost_result
    assert end.is_settled


def plain(value: bytes | None, headers: Headers) -> FinishedJob | None:
    """Return what a plain reply without a key comes to."""
    return finished_by_reply(Record(PLACE, None, value, headers, int(T0 * 1000)))


@pytest.mark.parametrize(
    ("value", "result"), [(b'{"made":2}', {"made": 2}), (b"done", "done"), (None, None)]
)
def test_plain_reply_is_the_result(value: bytes | None, result: object) -> None:
    """Whatever it contains."""
    assert plain(value, CORRELATED) == FinishedJob(JobState.SUCCEEDED, result=result)


def test_error_text_of_a_plain_reply_is_sanitized() -> None:
    """A header may contain anything, as an event may."""
    header = ("kafka_nest-err", b'{"message":"\\u0000\\u001b[31m\\ud800"}')
    end = plain(None, [*CORRELATED, header])
    assert end is not None
    assert end.error is not None
    assert end.error.message == r"\x00\x1b[31m\ud800"


@pytest.mark.parametrize("timestamp", [-1, -(10**15), 10**18])
def test_plain_reply_may_have_any_timestamp(timestamp: int) -> None:
    """A producer can write a number that no date has."""
    end = finished_by_reply(Record(PLACE, None, b"1", CORRELATED, timestamp))
    assert end == FinishedJob(JobState.SUCCEEDED, result=1)


def test_plain_reply_that_is_marked_as_failure_is_a_retryable_error() -> None:
    """Its text is the error message."""
    header = ("kafka_nest-err", b'{"status":"error","message":"no such file"}')
    failure = JobFailure("error", "no such file", retryable=True)
    assert plain(None, [*CORRELATED, header]) == FinishedJob(JobState.FAILED, error=failure)


def test_plain_reply_without_a_job_finishes_none() -> None:
    """It has neither a key nor a correlation header."""
    assert plain(b"1", []) is None
