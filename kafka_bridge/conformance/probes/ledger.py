"""The response topic is the ledger: what other workers have published counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kafka_bridge.conformance.events import in_words
from kafka_bridge.conformance.job_types import ECHO
from kafka_bridge.conformance.probe import alone, prepared
from kafka_bridge.conformance.probes.data import GOLDEN
from kafka_bridge.conformance.probes.deliveries import MOST_DELIVERIES
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import expect
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobFailure, JobRequest, JobState, StatusEvent


def check_untouched(stage: Stage, job: JobRequest) -> None:
    """Check that a job, which another worker has finished, is left alone."""
    stage.overtaken(job)
    stage.silent()
    events = stage.events(job)
    expect(
        not events,
        "no event: another worker has finished the job",
        in_words(events),
        events[0].record if events else None,
    )
    expect(not stage.started(job), "no start of the finished job", "its handler was called")


@prepared(
    "L3-FINISHED", "A finished job never runs again: its request is committed without an event."
)
def finished(stage: Stage) -> Iterator[None]:
    """Jobs with each of the terminal events, by a worker before this one."""
    ends: dict[JobState, dict[str, Any]] = {
        JobState.SUCCEEDED: {},
        JobState.FAILED: {"error": JobFailure("disk_full", "No space left on /data")},
        JobState.CANCELLED: {"message": "cancelled"},
    }
    jobs = []
    for state, facts in ends.items():
        job = stage.request(ECHO, f"finished as {state}")
        location = stage.publish(job)
        stage.tell(job, JobState.ACCEPTED)
        stage.tell(job, state, sequence=1, **facts)
        jobs.append((job, location))
    yield
    for job, location in jobs:
        check_untouched(stage, job)
        stage.commits(location)


@prepared("L3-FINISHED-FIRST", "The first terminal event wins: later events change nothing.")
def finished_first(stage: Stage) -> Iterator[None]:
    """A job with events of a higher delivery after its end."""
    job = stage.request(ECHO, "finished first")
    stage.publish(job)
    stage.tell(job, JobState.SUCCEEDED)
    stage.tell(job, JobState.ACCEPTED, delivery=2)
    stage.tell(job, JobState.RUNNING, delivery=2, sequence=1)
    yield
    check_untouched(stage, job)


def _golden_events(encoding: Encoding) -> Iterator[tuple[str, bytes]]:
    """Yield the golden status events in an encoding, and their other forms."""
    index = json.loads(GOLDEN.joinpath("cases.json").read_text(encoding="utf-8"))
    events = {each["name"]: each for each in index["cases"] if each["message"] == "StatusEvent"}
    files = {name: each[encoding.value] for name, each in events.items()}
    for each in index["also_readable"]:
        if each["same_as"] in events and each["file"].endswith(f".{encoding}"):
            files[each["file"]] = each["file"]
    for name, file in files.items():
        yield name, GOLDEN.joinpath(file).read_bytes()


@prepared("L3-FINISHED-GOLDEN", "A worker reads each status event of the golden files.")
def golden(stage: Stage) -> Iterator[None]:
    """Each of their bytes as the event of a new job, by a worker before this one."""
    finished, begun = list[tuple[str, JobRequest]](), list[tuple[str, JobRequest, int]]()
    for name, value in _golden_events(stage.encoding):
        event = decode(StatusEvent, value)
        if event.state not in TERMINAL and event.delivery >= MOST_DELIVERIES:
            continue
        job = stage.request(ECHO, name)
        stage.publish(job)
        of_job = value.replace(event.correlation_id.encode(), job.correlation_id.encode())
        stage.respond(job.correlation_id, of_job)
        if event.state in TERMINAL:
            finished.append((name, job))
        else:
            begun.append((name, job, event.delivery))
    yield
    for name, job, delivery in begun:
        end = stage.ends_as(job, JobState.SUCCEEDED)
        expected = f"delivery {delivery + 1} after {name}"
        expect(end.delivery == delivery + 1, expected, f"it is {end.delivery}", end.record)
    for _, job in finished:
        stage.overtaken(job)
    stage.silent()
    for name, job in finished:
        events = stage.events(job)
        record = events[0].record if events else None
        expect(not events, f"no event: {name} has finished the job", in_words(events), record)
        expect(not stage.started(job), f"no start: {name} has finished the job", "it was started")


@prepared("L3-FINISHED-BESIDE-ERROR", "An invalid field beside an error does not hide the error.")
def beside_error(stage: Stage) -> Iterator[None]:
    """A FAILED event with an empty event_id and an empty error type, which no schema forbids."""
    job = stage.request(ECHO, "failed with an empty event id")
    stage.publish(job)
    stage.respond(job.correlation_id, _with_slips(stage, job))
    yield
    check_untouched(stage, job)


def _with_slips(stage: Stage, job: JobRequest) -> bytes:
    event = stage.event(
        job, JobState.FAILED, event_id="slip", error=JobFailure("slip", "No space left")
    )
    value = stage.encoded(event)
    if stage.encoding is Encoding.JSON:
        return value.replace(b'"slip"', b'""')
    return value.replace(b"\x08slip", b"\x00")  # a text is its length, doubled, and its bytes


@alone(
    "L3-LEDGER-ODD",
    "A worker reads on behind records that are not status events or commands.",
)
def odd(stage: Stage) -> None:
    """Tombstones and garbage in the response topic and in the control topic, before what counts."""
    for _ in range(4 * stage.partitions):
        key = new_correlation_id()
        for value in (None, b"", b"garbage", b"{}", b"\xc3\x01garbage"):
            stage.respond(key, value)
            stage.command(key, value, [])
    done, cancelled, new = (stage.request(ECHO, "beside odd records") for _ in range(3))
    for job in (done, cancelled, new):
        stage.publish(job)
    stage.tell(done, JobState.SUCCEEDED)
    stage.cancel(cancelled)
    stage.start_worker()
    stage.ends_as(new, JobState.SUCCEEDED, stage.patience.start)
    stage.ends_as(cancelled, JobState.CANCELLED)
    check_untouched(stage, done)
