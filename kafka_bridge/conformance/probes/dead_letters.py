"""Requests that cannot be read or answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from kafka_bridge.conformance.job_types import ECHO
from kafka_bridge.conformance.probe import running
from kafka_bridge.conformance.probes.data import GOLDEN
from kafka_bridge.conformance.probes.failures import fails_with
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.topics import fresh_name
from kafka_bridge.conformance.unmet import NotTested, Unmet, expect
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import KafkaError, RecordLocation
from kafka_bridge.protocol.headers import (
    DEAD_LETTER_PREFIX,
    Headers,
    read_dead_letter_headers,
    without_dead_letter_headers,
)
from kafka_bridge.protocol.messages import ErrorType, JobRequest

SIZES = {"original-partition": 4, "original-offset": 8, "original-timestamp": 8}
TEXTS = ("original-topic", "exception-fqcn", "exception-message")


def _poison(encoding: Encoding) -> Iterator[tuple[str, bytes]]:
    index = json.loads(GOLDEN.joinpath("cases.json").read_text(encoding="utf-8"))
    for each in index["unreadable"]:
        if each["file"].endswith(f".{encoding}"):
            yield each["file"], GOLDEN.joinpath(each["file"]).read_bytes()
    yield "neither-avro-nor-json", b"\x01\x02\x03"


def _publish_poison(stage: Stage) -> tuple[JobRequest, RecordLocation, bytes, Headers]:
    """Publish an unreadable request as Airflow would, with one more header of its own."""
    job = stage.request(ECHO, "poison")
    value = stage.encoded(job)[:-1]
    headers = [*stage.headers(job), ("x-own", b"\x00\xff")]
    return job, stage.publish_bytes(job.correlation_id, value, headers), value, headers


@running("L1-POISON-LETTER", "A request that cannot be read goes to the dead-letter topic.")
def letter(stage: Stage) -> None:
    """Each unreadable golden file; a later request of the same partition is run."""
    sent = {}
    for name, value in _poison(stage.encoding):
        job = stage.request(ECHO, name)
        stage.publish_bytes(job.correlation_id, value, [])
        sent[name] = job, value
    for name, (job, value) in sent.items():
        found = stage.becomes_dead_letter(job.correlation_id, f"the unreadable request {name}")
        came = f"it has {len(found.value or b'')} bytes, not {len(value)}"
        expect(found.value == value, f"the bytes of {name}, untouched", came, found)
    stage.overtaken(job)


@running("L1-POISON-HEADERS", "A dead letter is the original record, with headers that say why.")
def headers(stage: Stage) -> None:
    """Key, value and headers of an unreadable request, and the headers that are added."""
    job, location, value, sent = _publish_poison(stage)
    found = stage.becomes_dead_letter(job.correlation_id, "the unreadable request")
    expect(found.value == value, "the original bytes", "they differ", found)
    kept = without_dead_letter_headers(found.headers)
    missing = [name for name, text in sent if (name, text) not in kept]
    expect(not missing, "all headers of the request", f"{', '.join(missing)} differ", found)
    check_added(found, location)


def check_added(found: Record, location: RecordLocation) -> None:
    """Check the headers that make a record a dead letter."""
    added = {
        name.removeprefix(DEAD_LETTER_PREFIX): value or b""
        for name, value in found.headers
        if name.startswith(DEAD_LETTER_PREFIX)
    }
    for name in (*TEXTS, *SIZES):
        value = added.get(name)
        wanted = f"the header {DEAD_LETTER_PREFIX}{name}"
        expect(value, wanted, "it is missing or empty", found)
        size = SIZES.get(name, len(value or b""))
        expect(len(value or b"") == size, f"{wanted} of {size} bytes", f"it is {value!r}", found)
    original = read_dead_letter_headers(found.headers).original
    expect(original == location, f"the original location {location}", f"it is {original}", found)


@running(
    "L1-POISON-EVENT",
    "If an unreadable request has a correlation id and a kafka_replyTopic, its task gets a FAILED "
    "event of type unreadable.",
)
def event(stage: Stage) -> None:
    """The event of an unreadable request."""
    job, *_ = _publish_poison(stage)
    fails_with(stage, job, ErrorType.UNREADABLE, retryable=False)


@running(
    "L1-POISON-UNANSWERABLE",
    "If a worker cannot write to the response topic, it writes the request to the dead-letter "
    "topic, and the job does not start.",
)
def unanswerable(stage: Stage) -> None:
    """A request with a response topic that does not exist."""
    job = replace(stage.request(ECHO, "unanswerable"), response_topic=fresh_name())
    location = stage.publish(job)
    seconds = 6 * stage.patience.soon  # clients wait for a topic that may be new
    expected = f"the request, whose response topic {job.response_topic} does not exist,"
    try:
        found = stage.becomes_dead_letter(job.correlation_id, expected, seconds)
    except Unmet:
        if _exists(stage, job.response_topic):
            raise NotTested(
                "the brokers have created the missing response topic "
                "(auto.create.topics.enable), so that the worker could answer"
            ) from None
        raise
    check_added(found, location)
    started = stage.started(job)
    expect(not started, "no start of the job", f"its handler was called {started} times", found)


def _exists(stage: Stage, topic: str) -> bool:
    try:
        stage.follow(topic)
    except KafkaError:
        return False
    return True
