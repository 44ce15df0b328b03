"""Whose a response record is, and what it says of its job, before it is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kafka_bridge.kafka.response_records import candidates, event_head, id_in_headers, plain_head
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.plain_replies import NEST_ERROR

from ..protocol.samples import EVENT

ID = b"0b8f3c4e-8a55-4b1e-9f0e-3d2c1b0a9f8e"
OTHER = b"1" + ID[1:]
NAME = "kafka_correlationId"


@pytest.mark.parametrize(
    ("key", "is_candidate"),
    [
        pytest.param(ID, True, id="the job's own"),
        pytest.param(OTHER, False, id="of another job"),
        pytest.param(None, True, id="no key"),
        pytest.param(b"", True, id="an empty key"),
        pytest.param(b"order-4711", True, id="a key of the service's own"),
        pytest.param(ID + b"x", True, id="no correlation id, by its length"),
    ],
)
def test_key_that_is_another_jobs_id_is_not_looked_at_further(
    key: bytes | None, is_candidate: bool
) -> None:
    """With any other key, the headers may name the job."""
    assert candidates([key], lambda each: each, {ID}) == ([key] if is_candidate else [])


def test_candidates_keep_their_order() -> None:
    """The events of a job count in the order in which they were published."""
    records = [(0, ID), (1, OTHER), (2, None), (3, ID)]
    assert candidates(records, lambda each: each[1], {ID}) == [records[0], records[2], records[3]]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (None, None),
        ([], None),
        ([("x", ID)], None),
        ([("x", b"1"), (NAME, ID)], ID),
        ([(NAME, OTHER), (NAME, ID)], ID),
        ([(NAME, ID), (NAME, None)], None),
    ],
)
def test_header_names_the_job(
    headers: Sequence[tuple[str, bytes | None]] | None, found: bytes | None
) -> None:
    """Of several the last one counts: a service may pass the request's headers on."""
    assert id_in_headers(headers) == found


def test_event_says_its_state_and_delivery() -> None:
    """Whatever its headers say."""
    failed = [(NEST_ERROR, b"no")]
    assert event_head(encode(EVENT), failed) == EventHead(EVENT.delivery, EVENT.state)


@pytest.mark.parametrize("value", [None, b"", b'"a plain reply"'])
def test_record_that_is_no_event_is_an_error(value: bytes | None) -> None:
    """A plain reply where status events are expected ends no job."""
    with pytest.raises(RemoteProtocolError):
        event_head(value, None)


@pytest.mark.parametrize(
    ("value", "headers", "state"),
    [
        (b"7", None, JobState.SUCCEEDED),
        (b"\x00not JSON", [("x", b"y")], JobState.SUCCEEDED),
        (None, None, JobState.SUCCEEDED),
        (None, [("x", b"y")], JobState.SUCCEEDED),
        (None, [(NEST_ERROR, b"no such file")], JobState.FAILED),
        (None, [(NEST_ERROR, None)], JobState.FAILED),
        (b"7", [(NEST_ERROR, b"no such file")], JobState.SUCCEEDED),
    ],
)
def test_plain_reply_is_always_the_end_of_its_job(
    value: bytes | None, headers: Sequence[tuple[str, bytes | None]] | None, state: JobState
) -> None:
    """A failure only where NestJS says so: with its header, and without a value."""
    assert plain_head(value, headers) == EventHead(1, state)
