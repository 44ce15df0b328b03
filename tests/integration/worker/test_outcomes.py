"""What a job comes to at a real worker on a real Kafka: every end is an event in its words."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from integration.jobs import (
    WAIT_SECONDS,
    committed,
    events,
    events_until,
    first_record,
    records,
)
from integration.worker.endings import outcome
from integration.worker.programs import Stage
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import decode, detect, encode
from kafka_bridge.protocol.encodings import CONTENT_TYPES, Encoding
from kafka_bridge.protocol.headers import REPLY_TOPIC, request_headers, text_header
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import (
    JobRequest,
    JobState,
    Progress,
    Reference,
    StatusEvent,
)
from kafka_bridge.protocol.sanitize import NAME_BYTES, one_line

if TYPE_CHECKING:
    from conftest import Eventually

S = JobState


def test_job_goes_from_accepted_by_progress_to_its_result(shared: Stage) -> None:
    """ACCEPTED first, then progress as it is made, then the result; numbered without a gap."""
    job = shared.request("multiply", {"number": 21})
    shared.publish(job)
    seen = events(shared.config, shared.responses, job.correlation_id)
    assert [each.state for each in seen] == [
        S.ACCEPTED,
        *[S.RUNNING] * (len(seen) - 2),
        S.SUCCEEDED,
    ]
    assert [each.sequence for each in seen] == list(range(len(seen)))
    figures = [each.progress for each in seen if each.progress is not None]
    assert len(figures) >= 1
    assert all(later.completed > earlier.completed for earlier, later in pairwise(figures))
    assert all(each == Progress(each.completed, 3, "steps") for each in figures)
    assert (seen[-1].result, seen[-1].result_type) == (b'{"product":42}', "application/json")
    assert {each.delivery for each in seen} == {1}
    assert len({each.worker_id for each in seen}) == 1
    assert len({each.event_id for each in seen}) == len(seen)


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_answer_is_in_the_encoding_of_the_request(shared: Stage, encoding: Encoding) -> None:
    """Who asks in JSON is answered in JSON, in Avro in Avro, with the key and header to match."""
    job = shared.request("note", attempt=2, attributes={"a": "b"})
    shared.publish(job, encoding=encoding)
    answers = records_of(shared, job.correlation_id)
    assert {detect(record.value) for record in answers} == {encoding}
    for record in answers:
        assert record.key == job.correlation_id.encode()
        assert text_header(record.headers, "content-type") == CONTENT_TYPES[encoding]
        assert text_header(record.headers, "kafka_correlationId") == job.correlation_id


TRACE = [
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", b"vendor=value"),
]


@pytest.mark.parametrize("value", [None, b"{}"], ids=["readable", "unreadable"])
def test_trace_of_the_request_goes_on_in_every_event(shared: Stage, value: bytes | None) -> None:
    """Also in the answer to a request that cannot be read."""
    job = shared.request("note")
    headers = request_headers(job, Encoding.AVRO) + TRACE
    key = job.correlation_id.encode()
    shared.producer.publish(shared.requests, key, value or encode(job), headers)
    for record in records_of(shared, job.correlation_id):
        assert record.headers[-2:] == TRACE
        assert text_header(record.headers, "kafka_correlationId") == job.correlation_id


def records_of(stage: Stage, job: str) -> list[Record]:
    """Return the records of a finished job, its end among them."""
    found = []
    with records(stage.config, stage.responses) as arriving:
        for record in arriving:
            if record.key == job.encode():
                found.append(record)
                if record.decode(StatusEvent).state in {S.SUCCEEDED, S.FAILED}:
                    return found
    raise AssertionError(f"waited in vain for the end of job {job}")


def test_async_handler_is_awaited(shared: Stage) -> None:
    """A coroutine's value is the job's result."""
    ended = outcome(shared, shared.request("sleep", 0.1))
    assert (ended.state, ended.result) == (S.SUCCEEDED, b'"slept"')


def test_async_jobs_share_the_loop(shared: Stage) -> None:
    """Two coroutines that sleep at the same time do so at the same time."""
    jobs = [shared.request("sleep", 1.0) for _ in range(2)]
    shared.publish(*jobs)
    spans = []
    for job in jobs:
        seen = events(shared.config, shared.responses, job.correlation_id)
        spans.append((seen[0].occurred_at, seen[-1].occurred_at))
    (first_begin, first_end), (second_begin, second_end) = spans
    assert max(first_begin, second_begin) < min(first_end, second_end)


FAILURES: list[tuple[str, Any, str, bool, str]] = [
    ("fail", "it broke", "services.Failure", True, "it broke"),
    ("refuse", None, "table_missing", False, "no such table"),
    ("no.such.type", None, "unknown_job_type", False, "no handler for job type 'no.such.type'"),
    ("multiply", {"number": "x"}, "invalid_payload", False, "number: Input should be a valid int"),
    ("multiply", None, "invalid_payload", False, "payload: Input should be"),
    ("opaque", None, "result_not_serialisable", False, "result['rows'][1]['handle'] cannot be"),
    ("large", 2_000_000, "result_too_large", False, "bytes is too large for topic"),
]


@pytest.mark.parametrize(
    ("job_type", "payload", "kind", "retryable", "words"), FAILURES, ids=lambda each: str(each)[:20]
)
def test_job_that_cannot_succeed_says_why(
    shared: Stage, job_type: str, payload: Any, kind: str, retryable: bool, words: str
) -> None:
    """Each way to fail has its type, says in words what was wrong, and whether a retry may help."""
    ended = outcome(shared, shared.request(job_type, payload))
    assert ended.state is S.FAILED
    assert ended.error is not None
    assert (ended.error.type, ended.error.retryable) == (kind, retryable)
    assert words in ended.error.message


def test_start_and_end_are_in_the_workers_log(shared: Stage) -> None:
    """One line each, with id, type, state and how long it took; a failure with its reason."""
    good, bad = shared.request("note"), shared.request("fail", "it broke")
    shared.publish(good, bad)
    program = shared.programs[0]
    program.until_said(f"Job {good.correlation_id} (note) started")
    program.until_said(f"Job {good.correlation_id} (note) SUCCEEDED after 0.")
    program.until_said(f"Job {bad.correlation_id} (fail) FAILED after 0.")
    line = next(
        each for each in program.said.splitlines() if f"{bad.correlation_id} (fail) F" in each
    )
    assert "s: services.Failure: it broke" in line
    assert program.said.count(f"Job {good.correlation_id} (note)") == 2


def test_reference_to_a_payload_is_refused(shared: Stage) -> None:
    """The handler is not called without its payload: the job would succeed at nothing."""
    job = shared.request("note", payload_ref=Reference("s3://inputs/march.csv", "0" * 64, 5))
    ended = outcome(shared, job)
    assert ended.error is not None
    assert (ended.error.type, ended.error.retryable) == ("unsupported_reference", False)
    assert job.correlation_id not in shared.noted("done")


def test_failure_has_the_services_own_traceback(shared: Stage) -> None:
    """The details lead to the line that raised, without frames that are not the service's."""
    error = outcome(shared, shared.request("fail", "oh")).error
    assert error is not None
    assert error.details is not None
    assert error.details.startswith("Traceback (most recent call last):")
    assert "in deep_inside" in error.details
    assert "services.Failure: oh" in error.details
    assert "job_run.py" not in error.details


def test_application_error_brings_its_own_details(shared: Stage) -> None:
    """What the handler says to be the details are the details."""
    error = outcome(shared, shared.request("refuse")).error
    assert error is not None
    assert error.details == "looked in db1"


def test_result_too_large_for_the_broker_fails_the_job(
    stage: Stage, topics: Callable[..., str]
) -> None:
    """Where the topic takes less than the client, the broker's refusal ends the job alike."""
    small = topics("small", 1, {"max.message.bytes": "8000"})
    stage.responses = small
    stage.start()
    error = outcome(stage, stage.request("large", 20_000)).error
    assert error is not None
    assert error.type == "result_too_large"
    assert f"too large for topic '{small}': Broker: " in error.message


def test_heartbeats_go_on_while_a_handler_blocks(shared: Stage) -> None:
    """While a handler blocks its thread, no interval passes without an event."""
    job = shared.request("block", 1.6, heartbeat_interval_ms=300)
    shared.publish(job)
    seen = events(shared.config, shared.responses, job.correlation_id)
    beats = seen[1:-1]
    assert {each.state for each in beats} == {S.RUNNING}
    assert 4 <= len(beats) <= 8
    gaps = [
        (later.occurred_at - earlier.occurred_at).total_seconds()
        for earlier, later in pairwise(seen)
    ]
    assert sorted(gaps)[len(gaps) // 2] <= 0.3
    assert max(gaps) < 0.9  # where a reader would begin to wonder


def test_unreadable_request_is_dead_lettered_and_its_sender_is_notified(stage: Stage) -> None:
    """Its bytes go to the dead letters untouched, with where from and why; the sender hears too.

    The requests behind it are done as if it were not there.
    """
    job, bad = new_correlation_id(), b"\xc3\x01 this is no request \x00\xff"
    headers = [(REPLY_TOPIC, stage.responses.encode()), ("theirs", b"\x01"), ("none", None)]
    place = stage.producer.publish(stage.requests, job.encode(), bad, headers)  # type: ignore[arg-type]
    stage.start()
    dead = first_record(stage.config, stage.dead_letters)
    assert (dead.key, dead.value) == (job.encode(), bad)
    assert dead.headers[:3] == headers
    added = dict(dead.headers[3:])
    assert added.pop("kafka_dlt-exception-fqcn").endswith(b"UnknownSchema")
    assert str(place).encode() in added.pop("kafka_dlt-exception-message")
    timestamp = int.from_bytes(added.pop("kafka_dlt-original-timestamp"), "big")
    assert abs(timestamp - dead.timestamp_ms) < WAIT_SECONDS * 1000
    assert added == {
        "kafka_dlt-original-topic": stage.requests.encode(),
        "kafka_dlt-original-partition": place.partition.to_bytes(4, "big"),
        "kafka_dlt-original-offset": place.offset.to_bytes(8, "big"),
    }
    told = events(stage.config, stage.responses, job)[-1]
    assert told.state is S.FAILED
    assert told.error is not None
    assert (told.error.type, told.error.retryable) == ("unreadable", False)
    assert outcome(stage, stage.request("note")).state is S.SUCCEEDED


NOBODYS: list[tuple[bytes | None, list[tuple[str, bytes]]]] = [
    (None, [(REPLY_TOPIC, b"jobs.responses")]),
    (b"no id", [(REPLY_TOPIC, b"jobs.responses")]),
    (new_correlation_id().encode(), []),
    (new_correlation_id().encode(), [(REPLY_TOPIC, b"no such topic!")]),
    (new_correlation_id().encode(), [(REPLY_TOPIC, b"\xff")]),
    (new_correlation_id().encode(), [(REPLY_TOPIC, b"no\0such.topic")]),
    (new_correlation_id().encode(), [(REPLY_TOPIC, b"x" * 600)]),
]


def test_unreadable_request_without_a_sender_is_only_dead_lettered(stage: Stage) -> None:
    """Without a usable key and reply topic nobody can be told; the worker goes on all the same."""
    for key, headers in NOBODYS:
        stage.producer.publish(stage.requests, key, b"{}", headers)
    stage.start()
    with records(stage.config, stage.dead_letters) as arriving:
        dead = [next(arriving) for _ in NOBODYS]
    assert {record.key for record in dead} == {key for key, _ in NOBODYS}
    assert {record.value for record in dead} == {b"{}"}
    assert outcome(stage, stage.request("note")).state is S.SUCCEEDED


def test_tombstones_are_skipped(stage: Stage, eventually: Eventually) -> None:
    """A tombstone is neither a job nor a dead letter, and its offset is committed."""
    for number in range(8):
        stage.producer.publish(stage.requests, b"%d" % number, None, [])
    stage.start()
    assert outcome(stage, stage.request("note")).state is S.SUCCEEDED
    ends = end_offsets(stage.config, [stage.requests, stage.dead_letters], WAIT_SECONDS)

    def all_committed() -> bool:
        offsets = committed(stage.config, stage.group, stage.requests, 4)
        return [max(each, 0) for each in offsets] == ends[stage.requests]

    eventually(all_committed, "the tombstones are committed")
    assert ends[stage.dead_letters] == [0]


@pytest.mark.parametrize(
    "responses", ["no.such.topic", "no such topic!", "no\0such.topic", "x" * 600]
)
def test_job_that_cannot_be_answered_goes_to_the_dead_letters(stage: Stage, responses: str) -> None:
    """Where the response topic does not exist, or cannot, the request is set aside, not started."""
    job = stage.request("note")
    lost = JobRequest(
        correlation_id=job.correlation_id,
        job_type="note",
        response_topic=responses,
        created_at=job.created_at,
    )
    (place,) = stage.publish(lost)
    stage.start()
    dead = first_record(stage.config, stage.dead_letters)
    assert decode(JobRequest, dead.value) == lost
    assert text_header(dead.headers, "kafka_dlt-original-topic") == place.topic
    assert (text_header(dead.headers, "kafka_dlt-exception-fqcn") or "").endswith("TopicNotFound")
    shown = repr(one_line(responses, NAME_BYTES))
    assert shown in (text_header(dead.headers, "kafka_dlt-exception-message") or "")
    assert outcome(stage, job).state is S.SUCCEEDED
    assert stage.noted("done") == [job.correlation_id]


def test_accepted_is_acknowledged_before_the_work_begins(stage: Stage) -> None:
    """ACCEPTED proves that the answer can be written, so it is there while the handler waits."""
    stage.start()
    job = stage.request("wait")
    stage.publish(job)
    (accepted,) = events_until(
        stage.config, stage.responses, job.correlation_id, lambda seen: len(seen) == 1
    )
    assert accepted.state is S.ACCEPTED
    stage.gate.touch()
    assert events(stage.config, stage.responses, job.correlation_id)[-1].state is S.SUCCEEDED
