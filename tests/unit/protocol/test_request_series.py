"""Requests that differ in id and payload only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.media_types import from_json, is_json, to_json
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.protocol.request_series import RequestSeries

from .samples import REQUEST
from .strategies import correlation_ids, job_requests, repeatable, typed_data


@repeatable
@given(template=job_requests(), job=correlation_ids, data=typed_data)
@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_request_of_a_series_has_the_bytes_of_the_codec(
    encoding: Encoding, template: JobRequest, job: str, data: tuple[bytes | None, str | None]
) -> None:
    """Each request has the bytes that it has when it is encoded by itself."""
    payload, payload_type = data
    if payload is not None and payload_type is not None and is_json(payload_type):
        payload = to_json(from_json(payload))  # as the JSON encoding writes it anew
    series = RequestSeries(template, encoding)
    alone = replace(template, correlation_id=job, payload=payload, payload_type=payload_type)
    for _ in range(2):
        assert series.value(job, payload, payload_type) == encode(alone, encoding)
    assert series.headers(job) == request_headers(alone, encoding)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 8191, 8192, 2**20 - 1, 2**20])
def test_payload_of_any_length_has_the_bytes_of_the_codec(size: int) -> None:
    """A payload's length may take one byte or many."""
    series, data = RequestSeries(REQUEST, Encoding.AVRO), b"x" * size
    alone = replace(REQUEST, payload=data, payload_type="text/plain")
    assert series.value(REQUEST.correlation_id, data, "text/plain") == encode(alone)


@repeatable
@given(jobs=st.lists(correlation_ids, min_size=2, max_size=5))
def test_more_headers_follow_the_requests_own(jobs: list[str]) -> None:
    """Headers that all share are in each request's, which are its own to change."""
    series = RequestSeries(REQUEST, Encoding.AVRO, [("traceparent", b"00-1")])
    for job in jobs:
        headers = series.headers(job)
        assert dict(headers)["ce_id"] == job.encode()
        assert headers.pop() == ("traceparent", b"00-1")
