"""The records of status events: how many, where, with which key and headers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kafka_bridge.conformance.events import in_words
from kafka_bridge.conformance.job_types import ECHO, PROGRESS
from kafka_bridge.conformance.murmur2 import partition_of
from kafka_bridge.conformance.probe import prepared, running
from kafka_bridge.conformance.stage import Stage, with_id
from kafka_bridge.conformance.unmet import Unmet, expect
from kafka_bridge.protocol.codec import detect
from kafka_bridge.protocol.encodings import CONTENT_TYPES
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.headers import CORRELATION_ID, REPLY_TOPIC, text_header
from kafka_bridge.protocol.messages import JobState, StatusEvent

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
TRACESTATE = "vendor=t61rcWkgMzE"


@prepared("L1-START-EARLIEST", "New consumer groups start at the earliest offset.")
def earliest(stage: Stage) -> Iterator[None]:
    """A request from before the first start of the worker."""
    job = stage.request(ECHO, "early")
    stage.publish(job)
    yield
    stage.ends_as(job, JobState.SUCCEEDED)


@running("L1-REPLY-ONE", "A worker writes one terminal event for each job.")
def one(stage: Stage) -> None:
    """An end, and no other one."""
    job = stage.request(ECHO, "one")
    stage.outcome(job, JobState.SUCCEEDED)
    stage.silent()
    ends = [each for each in stage.events(job) if each.is_terminal]
    expect(len(ends) == 1, "one terminal event", in_words(ends), ends[-1].record)


@running("L1-REPLY-KEY", "The key of every record is the correlation id of its job.")
def key(stage: Stage) -> None:
    """The key of each event, and the id in its value."""
    job = stage.request(ECHO, "key")
    stage.outcome(job, JobState.SUCCEEDED)
    for each in stage.events(job):
        expect(
            each.record.key == job.correlation_id.encode(),
            f"the key {job.correlation_id}",
            f"the key of {each} is {each.record.key!r:.80}",
            each.record,
        )
        expect(
            each.status.correlation_id == job.correlation_id,
            f"the correlation id {job.correlation_id}",
            f"that of {each} is {each.status.correlation_id}",
            each.record,
        )


@running(
    "L1-REPLY-PARTITION",
    "Every producer partitions with murmur2, so that all events of one job are in one partition.",
)
def partition(stage: Stage) -> None:
    """The partitions of some jobs, which another hash would distribute in another way."""
    jobs = [stage.request(ECHO, number) for number in range(8)]
    for job in jobs:
        stage.publish(job)
    for job in jobs:
        stage.ends_as(job, JobState.SUCCEEDED)
        for each in stage.events(job):
            if each.record.key is None:
                continue  # the subject of another probe
            wanted = partition_of(each.record.key, stage.responses.partitions)
            expect(
                each.record.location.partition == wanted,
                f"partition {wanted} for the key {job.correlation_id}",
                f"it is in partition {each.record.location.partition}",
                each.record,
            )


@running("L1-REPLY-ENCODING", "Workers answer in the encoding of the request.")
def encoding(stage: Stage) -> None:
    """The encoding of each event."""
    job = stage.request(ECHO, "encoding")
    stage.outcome(job, JobState.SUCCEEDED)
    for each in stage.events(job):
        used = detect(each.record.value)
        expect(
            used is stage.encoding, f"an event in {stage.encoding}", f"it is {used}", each.record
        )


@running("L1-REPLY-READABLE", "Every record on the response topic is a status event.")
def is_readable(stage: Stage) -> None:
    """All that came so far; UNKNOWN is never written."""
    stage.outcome(stage.request(ECHO, "readable"), JobState.SUCCEEDED)
    for record in stage.responses.records:
        if record.location in stage.own_records:
            continue
        try:
            event = record.decode(StatusEvent)
        except RemoteProtocolError as error:
            raise Unmet("a status event", str(error), record) from error
        expect(event.state is not JobState.UNKNOWN, "a state", "UNKNOWN was written", record)


@running("L1-REPLY-HEADERS", "An event carries content-type and kafka_correlationId.")
def headers(stage: Stage) -> None:
    """The headers of each event."""
    job = stage.request(ECHO, "headers")
    stage.outcome(job, JobState.SUCCEEDED)
    for each in stage.events(job):
        used = detect(each.record.value)
        for name, wanted in (
            ("content-type", CONTENT_TYPES[used]),
            (CORRELATION_ID, job.correlation_id),
        ):
            found = text_header(each.record.headers, name)
            expect(found == wanted, f"the header {name}: {wanted}", f"it is {found}", each.record)


@running(
    "L1-REPLY-TRACE",
    "An event carries traceparent and tracestate of the request: copied, or as their child.",
)
def trace(stage: Stage) -> None:
    """The trace of each event, also of progress."""
    job = stage.request(PROGRESS, {"steps": 1, "seconds": 0})
    added = [("traceparent", TRACEPARENT.encode()), ("tracestate", TRACESTATE.encode())]
    stage.publish(job, [*stage.headers(job), *added])
    stage.ends_as(job, JobState.SUCCEEDED)
    for each in stage.events(job):
        found = text_header(each.record.headers, "traceparent") or ""
        expect(
            found.split("-")[1:2] == [TRACE_ID],
            f"a traceparent of the trace {TRACE_ID}",
            f"that of {each} is {found or 'missing'}",
            each.record,
        )
        state = text_header(each.record.headers, "tracestate")
        expect(
            TRACESTATE in (state or ""),
            f"a tracestate with {TRACESTATE}",
            f"that of {each} is {state or 'missing'}",
            each.record,
        )


@running("L1-REPLY-TOPIC", "A worker answers on the request's response topic.")
def topic(stage: Stage) -> None:
    """A request with another response topic: the dead-letter topic, which exists for sure."""
    job = replace(stage.request(ECHO, "topic"), response_topic=stage.names.dead_letters)
    stage.publish(job)
    stage.end_of(job, log=stage.dead_letters)
    came = stage.events(job)
    expect(not came, "no event on another topic", in_words(came), came[0].record if came else None)


@running("L1-REPLY-VALUE", "If headers and value disagree, the value wins.")
def value_wins(stage: Stage) -> None:
    """Headers of another job, and of another topic."""
    job = stage.request(ECHO, "value")
    wrong = {CORRELATION_ID: with_id(job).correlation_id, REPLY_TOPIC: stage.names.dead_letters}
    headers = [(name, wrong.get(name, "").encode() or value) for name, value in stage.headers(job)]
    stage.publish(job, headers)
    stage.ends_as(job, JobState.SUCCEEDED)


@running("L1-REPLY-TOMBSTONE", "A record without a value (a tombstone) is ignored.")
def tombstone(stage: Stage) -> None:
    """A tombstone before a request of the same partition."""
    job = stage.request(ECHO, "tombstone")
    location = stage.publish_bytes(job.correlation_id, None, [])
    stage.overtaken(job)
    expect(not stage.events(job), "no event", in_words(stage.events(job)))
    stage.dead_letters.catch_up()
    letter = stage.dead_letter(job)
    expect(letter is None, "no dead letter", f"the tombstone {location} became one", letter)
