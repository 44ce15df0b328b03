"""The headers of a request are a CloudEvent, as the SDK of CloudEvents reads it."""

from __future__ import annotations

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import CONTENT_TYPES, Encoding
from kafka_bridge.protocol.headers import JOB_REQUESTED, request_headers
from kafka_bridge.protocol.messages import JobRequest

from .golden_messages import CASES

REQUESTS = {each.name: each.message for each in CASES if isinstance(each.message, JobRequest)}


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_a_cloud_event_in_binary_mode(name: str, encoding: Encoding) -> None:
    """The SDK accepts all attributes, and finds the job, its time and its data."""
    request = REQUESTS[name]
    value = encode(request, encoding)
    headers = dict(request_headers(request, encoding))
    message = KafkaMessage(headers, request.correlation_id, value)
    event = from_binary(message, JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_id() == event.get_extension("correlationid") == request.correlation_id
    assert event.get_type() == JOB_REQUESTED
    assert event.get_source().startswith("/airflow")
    assert event.get_time() == request.created_at
    assert event.get_datacontenttype() == CONTENT_TYPES[encoding]
    if encoding is Encoding.AVRO:
        assert event.get_data() == value
