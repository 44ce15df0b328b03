"""Every valid message, for property tests; the same ones in every run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from kafka_bridge.protocol.media_types import is_json, to_json
from kafka_bridge.protocol.messages import (
    INT_MAX,
    LONG_MAX,
    Command,
    JobCommand,
    JobFailure,
    JobRequest,
    JobState,
    Message,
    Progress,
    Reference,
    StatusEvent,
    Task,
    whole_milliseconds,
)
from unit.examples_count import examples

repeatable = settings(derandomize=True, max_examples=examples(150), deadline=None)
"""The same examples in every run, and few enough for a laptop."""

texts = st.text(max_size=20)
words = st.text(min_size=1, max_size=20)
correlation_ids = st.uuids().map(str)
zones = st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-11.5))])
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones).map(  # noqa: DTZ001
    whole_milliseconds
)
doubles = st.floats(allow_nan=False, allow_infinity=False)
attributes = st.dictionaries(texts, texts, max_size=3)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | doubles | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
json_types = st.sampled_from(
    ["application/json", "Application/JSON; charset=utf-8", "application/vnd.example+json"]
)
other_types = texts.filter(lambda text: not is_json(text))
typed_data = st.one_of(
    st.just((None, None)),
    st.tuples(json_values.map(to_json), json_types),
    st.tuples(st.binary(max_size=40), other_types),
)

references = st.builds(
    Reference, words, st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, LONG_MAX)
)
tasks = st.builds(
    Task,
    texts,
    texts,
    texts,
    texts,
    st.integers(-1, INT_MAX),
    st.integers(0, INT_MAX),
    st.none() | texts,
)
progresses = st.builds(Progress, doubles, st.none() | doubles, st.none() | texts)
failures = st.builds(JobFailure, words, texts, st.none() | texts, st.booleans())


@st.composite
def job_requests(draw: st.DrawFn) -> JobRequest:
    """Draw a job request."""
    payload, payload_type = draw(typed_data)
    return JobRequest(
        correlation_id=draw(correlation_ids),
        attempt=draw(st.integers(1, INT_MAX)),
        job_type=draw(words),
        payload=payload,
        payload_type=payload_type,
        payload_ref=draw(st.none() | references),
        response_topic=draw(words),
        created_at=draw(moments),
        expires_at=draw(st.none() | moments),
        deadline=draw(st.none() | moments),
        heartbeat_interval_ms=draw(st.integers(0, INT_MAX)),
        task=draw(st.none() | tasks),
        attributes=draw(attributes),
    )


@st.composite
def status_events(draw: st.DrawFn) -> StatusEvent:
    """Draw a status event."""
    result, result_type = draw(typed_data)
    return StatusEvent(
        correlation_id=draw(correlation_ids),
        event_id=draw(words),
        delivery=draw(st.integers(1, INT_MAX)),
        sequence=draw(st.integers(0, LONG_MAX)),
        state=draw(st.sampled_from(JobState)),
        occurred_at=draw(moments),
        worker_id=draw(texts),
        message=draw(st.none() | texts),
        progress=draw(st.none() | progresses),
        external_id=draw(st.none() | texts),
        result=result,
        result_type=result_type,
        result_ref=draw(st.none() | references),
        error=draw(st.none() | failures),
        attributes=draw(attributes),
    )


job_commands = st.builds(
    JobCommand,
    correlation_id=correlation_ids,
    command=st.sampled_from(Command),
    reason=st.none() | texts,
    issued_at=moments,
    attributes=attributes,
)
messages: st.SearchStrategy[Message] = st.one_of(job_requests(), status_events(), job_commands)
