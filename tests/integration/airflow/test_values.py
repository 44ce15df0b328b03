"""No bytes from a topic hurt Airflow: whatever comes goes through all that it has to go through.

Airflow's own serialisation (msgpack, pydantic, serde, its log) and a real Postgres, no stand-ins.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self
from unittest.mock import patch

import pytest
from airflow.jobs.triggerer_job_runner import messages
from airflow.sdk import DAG
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from conftest import skip_or_fail
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kafka_bridge.airflow import KafkaJobOperator, KafkaJobTrigger
from kafka_bridge.airflow.exceptions import ResultNotStorable
from kafka_bridge.airflow.outcomes import result_of, storable
from kafka_bridge.airflow.storable import MAX_LEVELS
from kafka_bridge.airflow.triggerer import job_wait
from kafka_bridge.airflow.triggerer.waiter import JobNotice
from kafka_bridge.kafka.response_records import event_head, plain_head
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import (
    ConfigurationError,
    KafkaBridgeError,
    RecordLocation,
    RemoteProtocolError,
)
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress, StatusEvent
from kafka_bridge.testing.local_airflow import PostgresMissing, postgres

from .airflow_ways import FROM_TRIGGERS, Airflow, connected, sent

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
PLACE = RecordLocation("jobs.responses", 0, 17)
T0 = 1_800_000_000.0
ACTS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
HOSTILE = "\x00\x1b[31m\n::group::x\u202e\u2028\x85"

repeatable = settings(
    derandomize=True,
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def airflow() -> Iterator[Airflow]:
    """Give Airflow's ways to a database of its own."""
    try:
        with postgres() as url, connected(url) as ways:
            yield ways
    except PostgresMissing as missing:
        skip_or_fail(str(missing))


# Values.

texts = st.text(max_size=12) | st.text("\x00\ud800\udc00é\u202e", max_size=4)
keys = texts | st.sampled_from(["__classname__", "__id__", "__type", "__var", "__version__", "x"])
numbers = st.integers(-(2**80), 2**80) | st.floats() | st.sampled_from([2**64 - 1, 2**64, 10**400])
literals: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
levels = st.sampled_from([0, 0, 0, 0, 1, MAX_LEVELS - 20, MAX_LEVELS + 1, 300, 900, 5000])


def nested(value: Any, depth: int) -> Any:
    """Return a value nested in ``depth`` lists."""
    for _ in range(depth):
        value = [value]
    return value


def as_json(value: Any, depth: int) -> bytes:
    """Return JSON as any program may write it; Python's own encoder does not nest so deep."""
    written = json.dumps(value).replace("Infinity", "1e999").replace("NaN", "-1e999")
    return ("[" * depth + written + "]" * depth).encode("ascii")


results = st.one_of(
    st.tuples(st.builds(as_json, literals, levels), st.just("application/json")),
    st.tuples(texts.map(lambda each: each.encode("utf-8", "replace")), st.just("text/plain")),
    st.tuples(st.binary(max_size=30), st.sampled_from(["application/json", "image/png", "text/x"])),
)
ODD: list[tuple[bytes, str]] = [
    (b'{"id":18446744073709551617}', "application/json"),
    (b'{"__classname__":1}', "application/json"),
    (b'{"__classname__":"x","__version__":1}', "application/json"),
    (b'{"__type":"dict","__var":1}', "application/json"),
    (b'{"items":[0,1,2,{"name":"\\u0000"}]}', "application/json"),
    (b'"\\ud800"', "application/json"),
    (b"1e400", "application/json"),
    (b"4.968774793380886e+16", "application/json"),  # jsonb returns the integer of these digits
    (b"[" * 900 + b"]" * 900, "application/json"),
    (b"a\x00b", "text/plain"),
]


def ended(result: bytes, media_type: str) -> StatusEvent:
    """Return the end of a job that has succeeded."""
    return status(JobState.SUCCEEDED, result=result, result_type=media_type)


def status(state: JobState, **fields: Any) -> StatusEvent:
    """Return an event of the job."""
    values = {
        "correlation_id": JOB,
        "event_id": "e",
        "sequence": 0,
        "worker_id": "w",
        "occurred_at": datetime.fromtimestamp(T0, UTC),
    }
    return StatusEvent(state=state, **{**values, **fields})


# The trigger, as a triggerer runs it.


class Clock:
    """Stands in for the module ``time``: moves when the trigger waits."""

    now = T0

    def time(self) -> float:
        """Return seconds since 1970."""
        return self.now

    monotonic = time


class Reader:
    """Gives the records of a topic to a trigger, as the process's reader does; then nothing."""

    live_since = 0.0

    def __init__(self, clock: Clock, records: list[bytes], *, plain: bool) -> None:
        self._clock = clock
        self._records = list(records)
        self._read_head = plain_head if plain else event_head

    async def join_hub(self, *_: Any) -> Reader:
        """Take the place of the waiter."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""

    async def next(self, deadline: float) -> JobNotice | None:
        """Return what comes next, or None at the deadline."""
        if not self._records:
            self._clock.now = deadline
            return None
        value = self._records.pop(0)
        try:
            return JOB, Arrival(self._read_head(value, None), PLACE, value)
        except RemoteProtocolError as error:
            return JOB, error.at(PLACE)


def fire(*records: bytes, reply: str = "events") -> tuple[TriggerEvent, list[str]]:
    """Return the event that a trigger fires for these records, and the lines that it logs."""
    clock, lines = Clock(), Lines()
    reader = Reader(clock, list(records), plain=reply == "plain")
    trigger = KafkaJobTrigger(
        correlation_id=JOB,
        kafka_config_id="mine",
        response_topic="jobs.responses",
        start_offsets=[0],
        submitted_at=T0,
        schedule_to_start_timeout=60.0,
        heartbeat_timeout=60.0,
        progress_log_interval=0.001,
        job_type="a.b",
        end_from_trigger=True,
        reply=reply,
    )

    async def only() -> TriggerEvent:
        async for event in trigger.run():
            return event
        raise AssertionError("a trigger fires one event")

    with (
        patch.object(job_wait, "time", clock),
        patch.object(job_wait, "join_hub", reader.join_hub),
        patch.object(KafkaJobTrigger, "log", lines),
    ):
        return asyncio.run(only()), lines.kept


class Lines:
    """Keeps the lines of a log."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def info(self, words: str, *arguments: object) -> None:
        """Keep a line."""
        self.kept.append(words % arguments)

    warning = error = info


def examples(test: Any) -> Any:
    """Give a property test the values that once did harm."""
    for each in ODD:
        test = example(each)(test)
    return test


@repeatable
@given(results)
@examples
def test_result_goes_through_the_triggerer(airflow: Airflow, result: tuple[bytes, str]) -> None:
    """The event of a succeeded job reaches the database, or names the record instead."""
    end = ended(*result)
    event, _ = fire(encode(end))
    stored = airflow.fired(event)
    if isinstance(event, TaskSuccessEvent):
        assert is_same(stored, result_of(end, PLACE))
    else:
        assert stored == {"state": "SUCCEEDED", "partition": 0, "offset": 17}


@repeatable
@given(results)
@examples
def test_result_is_stored_or_refused(airflow: Airflow, result: tuple[bytes, str]) -> None:
    """A returned value can be stored and read; a refused one really could not."""
    operator = KafkaJobOperator(task_id="work", job_type="a.b")
    try:
        value = result_of(ended(*result), PLACE)
    except KafkaBridgeError:
        return
    try:
        returned = storable(operator, value)
    except ResultNotStorable as error:
        if "nested too deep" not in str(error):
            assert not survives(airflow, value)
    else:
        assert is_same(airflow.returned(returned), value)


def is_same(stored: Any, value: Any) -> bool:
    """Tell whether a value is what was stored.

    ``jsonb`` returns a large float as the integer of its shortest digits: that is the same float.
    """
    if isinstance(value, float):
        return not isinstance(stored, bool) and float(stored) == value
    if isinstance(value, dict):
        return stored.keys() == value.keys() and all(is_same(stored[k], value[k]) for k in value)
    if isinstance(value, list):
        return len(stored) == len(value) and all(map(is_same, stored, value))
    return bool(stored == value)


def survives(airflow: Airflow, value: Any) -> bool:
    """Tell whether Airflow would have given a value back as it was."""
    try:
        return is_same(airflow.returned(value), value)
    except Exception:  # whatever it may be
        return False


@repeatable
@given(literals)
@example([math.nan])
@example("\x00")
@example(2**70)
@example("\ud800")
def test_literal_is_parsed_or_refused(airflow: Airflow, literal: Any) -> None:
    """A literal in a DAG file is stored with the DAG, or the operator refuses it by its name."""
    refused = ""
    with DAG("d", schedule=None) as dag:
        try:
            KafkaJobOperator(task_id="work", job_type="a.b", payload=literal)
        except ConfigurationError as error:
            refused = str(error)
    if refused:  # Airflow shows the error of the file, and stores nothing
        assert refused.startswith("payload")
    else:
        airflow.parsed(dag)


def test_most_levels_of_everything(airflow: Airflow) -> None:
    """A value of the largest allowed depth takes every path."""
    deepest = nested("x", MAX_LEVELS)
    operator = KafkaJobOperator(task_id="work", job_type="a.b")
    assert airflow.returned(storable(operator, deepest)) == deepest
    event, _ = fire(encode(ended(json.dumps(deepest).encode(), "application/json")))
    assert isinstance(event, TaskSuccessEvent)
    assert airflow.fired(event) == deepest
    with DAG("d", schedule=None) as dag:
        KafkaJobOperator(task_id="work", job_type="a.b", payload=deepest)
    airflow.parsed(dag)


def test_unexpected_error_is_an_event(airflow: Airflow) -> None:
    """A bug fails its own task only: Airflow could not even pass its traceback on."""
    failure = RuntimeError("quoted: \ud800\x00")
    with pytest.raises(UnicodeEncodeError):
        sent(
            messages.TriggerStateChanges(events=None, failures=[(1, [str(failure)])]), FROM_TRIGGERS
        )
    with patch.object(Reader, "next", side_effect=failure):
        event, lines = fire()
    stored = airflow.fired(event)
    assert stored == {"error": "RuntimeError", "message": r"quoted: \ud800\x00"}
    assert lines[0].startswith("Waiting for the job failed unexpectedly:\nTraceback ")


# Texts.

words = st.text(max_size=20) | st.text(HOSTILE + string.ascii_letters, max_size=30)
some = words.filter(bool)
states = st.sampled_from(list(JobState))
events = st.builds(
    status,
    states,
    worker_id=words,
    event_id=some,
    message=st.none() | words,
    progress=st.none() | st.builds(Progress, st.floats(0, 9), st.none(), unit=words),
    error=st.none() | st.builds(JobFailure, some, words, words),
)


def as_odd_json(event: StatusEvent, key: str, value: Any) -> bytes:
    """Return an event as a JSON object with one more field, or another value in one of its own."""
    document = json.loads(encode(event, Encoding.JSON))
    return json.dumps({**document, key: value}).encode("ascii")


fields = st.sampled_from(["worker_id", "attributes", "message", "delivery", "state", "result"])
records = st.one_of(
    events.map(encode),
    st.builds(as_odd_json, events, fields | texts, literals),
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda junk: b"\xc3\x01" + junk),
)


def is_harmless(line: str) -> bool:
    """Tell whether a text is one line that shows what is in it."""
    return not ACTS.search(line) and "::group::" not in line and len(line.encode()) <= 6_000


@repeatable
@given(st.lists(records, max_size=4))
@example([encode(status(JobState.ACCEPTED, worker_id=f"w{HOSTILE}"))])
@example([encode(status(JobState.RUNNING, worker_id=HOSTILE * 9_000, message=HOSTILE * 9_000))])
@example([b'{"attributes":{"\\u0000\\ud800":1},"correlation_id":"x"}'])
def test_events_reach_log_and_database(airflow: Airflow, topic: list[bytes]) -> None:
    """Whatever is in the topic, the trigger fires one event that can be stored.

    Each line that it logs meanwhile is one harmless line.
    """
    event, lines = fire(*topic)
    stored = airflow.fired(event)
    assert all(map(is_harmless, lines)), lines
    if isinstance(stored, dict) and "message" in stored:
        assert all(map(is_harmless, stored["message"].splitlines()))


@repeatable
@given(st.one_of(records, st.binary(max_size=60)))
@example(b'{"id":18446744073709551617}')
@example(b"a\x00")
def test_plain_reply_goes_through_the_triggerer(airflow: Airflow, reply: bytes) -> None:
    """A plain reply may contain anything; its task resumes on a worker."""
    event, _ = fire(reply, reply="plain")
    airflow.fired(event)
