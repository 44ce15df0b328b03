"""What one record says of its job's end."""

from __future__ import annotations

import pytest

from kafka_bridge.airflow.batch.job_end import JobEnd, end_of, plain_end_of
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobFailure, JobState

from ..samples import JOB, T0, TOPIC, event

PLACE = RecordLocation(TOPIC, 0, 3)
CORRELATED: Headers = [("kafka_correlationId", JOB.encode())]


def test_record_without_a_head_is_no_end() -> None:
    """Nor was it one for the trigger."""
    assert end_of(b"junk", PLACE) is None


def test_damaged_failure_may_be_tried_again() -> None:
    """Whether a retry helps is in what cannot be read."""
    end = end_of(encode(event(JobState.FAILED, error=JobFailure("a", "b")))[:-3], PLACE)
    assert end is not None
    assert end.error is not None
    assert (end.state, end.error.type, end.error.retryable) == (JobState.FAILED, "unreadable", True)
    assert end.error.message.startswith("jobs.responses[0]@3: damaged Avro body of a StatusEvent")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (encode(event(JobState.SUCCEEDED))[:-3], "damaged Avro body of a StatusEvent"),
        (
            encode(event(JobState.SUCCEEDED, result=b"{", result_type="application/json")),
            "the result is not the application/json that it is said to be",
        ),
    ],
)
def test_unreadable_result_of_a_success_is_not_asked_for_again(value: bytes, words: str) -> None:
    """The job has succeeded: another attempt would do its work twice for the same result."""
    end = end_of(value, PLACE)
    assert end is not None
    assert end.error is not None
    assert end.has_lost_result
    assert end.is_settled
    assert end.error.message.startswith(f"jobs.responses[0]@3: {words}")


def test_result_that_is_nested_too_deep() -> None:
    """The job has succeeded: no other attempt would bring another result."""
    deep = b"[" * 10**5 + b"]" * 10**5
    ended = event(JobState.SUCCEEDED, result=deep, result_type="application/json")
    end = end_of(encode(ended), PLACE)
    assert end is not None
    assert end.has_lost_result
    assert end.is_settled


def plain(value: bytes | None, headers: Headers) -> JobEnd | None:
    """Return what a plain reply without a key comes to."""
    return plain_end_of(Record(PLACE, None, value, headers, int(T0 * 1000)))


@pytest.mark.parametrize(
    ("value", "result"), [(b'{"made":2}', {"made": 2}), (b"done", "done"), (None, None)]
)
def test_plain_result(value: bytes | None, result: object) -> None:
    """A plain reply is the job's result, whatever it holds."""
    assert plain(value, CORRELATED) == JobEnd(JobState.SUCCEEDED, result=result)


def test_plain_failure_is_shown_clean() -> None:
    """What stands in a header is somebody else's text, as what stands in an event is."""
    header = ("kafka_nest-err", b'{"message":"\\u0000\\u001b[31m\\ud800"}')
    end = plain(None, [*CORRELATED, header])
    assert end is not None
    assert end.error is not None
    assert end.error.message == r"\x00\x1b[31m\ud800"


@pytest.mark.parametrize("timestamp", [-1, -(10**15), 10**18])
def test_plain_reply_with_a_timestamp_of_no_date(timestamp: int) -> None:
    """A producer writes what timestamp it likes."""
    end = plain_end_of(Record(PLACE, None, b"1", CORRELATED, timestamp))
    assert end == JobEnd(JobState.SUCCEEDED, result=1)


def test_plain_failure() -> None:
    """A plain reply that is marked as a failure is the job's error; another attempt may help."""
    header = ("kafka_nest-err", b'{"status":"error","message":"no such file"}')
    failure = JobFailure("error", "no such file", retryable=True)
    assert plain(None, [*CORRELATED, header]) == JobEnd(JobState.FAILED, error=failure)


def test_plain_reply_to_nobody() -> None:
    """A record that names no job is no end of one."""
    assert plain(b"1", []) is None
