"""Events written in place are, byte for byte, those that the codec writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.event_writer import write_event
from kafka_bridge.protocol.messages import INT_MAX, LONG_MAX, JobState, StatusEvent

JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


def both(**facts: Any) -> tuple[bytes, bytes]:
    """Return an event as it is written in place, and as the codec writes it."""
    moment_ms = facts.pop("occurred_at_ms")
    worker_id, state = facts.pop("worker_id"), facts.pop("state")
    in_place = write_event(
        JOB.encode(), state, worker_id=worker_id, occurred_at_ms=moment_ms, **facts
    )
    seconds, milliseconds = divmod(moment_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
    event = StatusEvent(
        correlation_id=JOB, worker_id=worker_id, state=state, occurred_at=moment, **facts
    )
    return in_place, encode(event)


@given(
    state=st.sampled_from(JobState),
    worker_id=TEXT,
    event_id=TEXT,
    delivery=st.integers(1, INT_MAX),
    sequence=st.integers(0, LONG_MAX),
    occurred_at_ms=st.integers(0, LAST_MS),
    message=st.none() | TEXT,
    external_id=st.none() | TEXT,
    result=st.none() | st.binary(max_size=20_000),
)
def test_bytes_are_those_of_the_codec(**facts: Any) -> None:
    """Whatever the fields hold, nobody can tell how the event was written."""
    result_type = None if facts["result"] is None else "application/json"
    in_place, whole = both(**facts, result_type=result_type)
    assert in_place == whole


@pytest.mark.parametrize("number", [0, 63, 64, 127, 128, 8191, 8192, LONG_MAX])
def test_numbers_at_the_edges_of_their_bytes(number: int) -> None:
    """Seven bits go into a byte: where one more is needed, it is there."""
    in_place, whole = both(
        state=JobState.RUNNING,
        worker_id="w",
        event_id="e",
        delivery=max(1, min(number, INT_MAX)),
        sequence=number,
        occurred_at_ms=number % LAST_MS,
    )
    assert in_place == whole
