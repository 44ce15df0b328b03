"""Record headers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation, Undecodable
from kafka_bridge.protocol.headers import (
    DeadLetterHeaders,
    Headers,
    command_headers,
    dead_letter_headers,
    read_dead_letter_headers,
    request_headers,
    text_header,
    without_dead_letter_headers,
)

from .samples import COMMAND, JOB, NOW, REQUEST, TASK


def test_request_headers_in_full() -> None:
    """A request carries CloudEvents in binary mode and what request-reply frameworks look for."""
    assert request_headers(REQUEST, Encoding.AVRO) == [
        ("content-type", b"application/vnd.apache.avro"),
        ("ce_specversion", b"1.0"),
        ("ce_id", JOB.encode()),
        ("ce_source", b"/airflow/production/nightly/files.audit"),
        ("ce_type", b"kafka-bridge.job.requested.v1"),
        ("ce_time", b"2026-03-01T12:30:15.250Z"),
        ("ce_correlationid", JOB.encode()),
        ("kafka_correlationId", JOB.encode()),
        ("kafka_replyTopic", b"jobs.responses"),
    ]


def test_content_type_follows_the_encoding() -> None:
    """A JSON value is announced as JSON."""
    assert text_header(request_headers(REQUEST, Encoding.JSON), "content-type") == (
        "application/json"
    )


def test_request_headers_name_no_reply_partition() -> None:
    """Workers partition by key: a header must not tell them otherwise."""
    assert "kafka_replyPartition" not in dict(request_headers(REQUEST, Encoding.AVRO))


@pytest.mark.parametrize(
    ("task", "source"),
    [
        (None, "/airflow"),
        (
            replace(TASK, dag_id="a/b c", task_id="größe"),
            "/airflow/production/a%2Fb%20c/gr%C3%B6%C3%9Fe",
        ),
    ],
)
def test_source_is_a_uri_reference(task: object, source: str) -> None:
    """``ce_source`` stays a valid URI reference with one segment per name, whatever the names."""
    request = replace(REQUEST, task=task)  # type: ignore[arg-type]
    assert text_header(request_headers(request, Encoding.AVRO), "ce_source") == source


def test_time_is_in_utc() -> None:
    """``ce_time`` is RFC 3339 in UTC, with milliseconds even where they are 0."""
    local = NOW.replace(microsecond=0).astimezone(timezone(timedelta(hours=5, minutes=30)))
    headers = request_headers(replace(REQUEST, created_at=local), Encoding.AVRO)
    assert text_header(headers, "ce_time") == "2026-03-01T12:30:15.000Z"


def test_dead_letter_headers_in_full() -> None:
    """A dead letter says where it came from and why, as Spring Kafka writes it."""
    error = Undecodable("bytes are left over")
    place = RecordLocation("jobs.requests", 258, 2**40)
    assert dead_letter_headers(place, 2**40 + 513, error) == [
        ("kafka_dlt-original-topic", b"jobs.requests"),
        ("kafka_dlt-original-partition", b"\x00\x00\x01\x02"),
        ("kafka_dlt-original-offset", b"\x00\x00\x01\x00\x00\x00\x00\x00"),
        ("kafka_dlt-original-timestamp", b"\x00\x00\x01\x00\x00\x00\x02\x01"),
        ("kafka_dlt-exception-fqcn", b"kafka_bridge.protocol.errors.Undecodable"),
        ("kafka_dlt-exception-message", b"bytes are left over"),
    ]


def test_dead_letter_of_an_error_with_broken_text() -> None:
    """An error's text that is no Unicode cannot keep a record from the dead letters."""
    headers = dead_letter_headers(RecordLocation("t", 0, 0), -1, ValueError("a\ud800b"))
    assert text_header(headers, "kafka_dlt-exception-message") == "a?b"


def test_dead_letter_headers_read_back() -> None:
    """What was written is read, and taken away again, beside the record's own headers."""
    place, error = RecordLocation("jobs.requests", 258, 2**40), Undecodable("bytes are left over")
    own: Headers = [("kafka_replyTopic", b"t"), ("kafka_dl", b"x")]
    headers = own[:1] + dead_letter_headers(place, -1, error) + own[1:]
    assert read_dead_letter_headers(headers) == DeadLetterHeaders(
        place, -1, "kafka_bridge.protocol.errors.Undecodable", "bytes are left over"
    )
    assert without_dead_letter_headers(headers) == own


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("kafka_dlt-original-topic", b"t")],
        [("kafka_dlt-original-topic", b"\xff"), ("kafka_dlt-original-partition", bytes(4))],
        [("kafka_dlt-original-partition", b"0"), ("kafka_dlt-original-offset", b"17")],
    ],
)
def test_dead_letter_headers_of_somebody_else(headers: Headers) -> None:
    """Headers that are missing, or written in another way, say nothing and break nothing."""
    assert read_dead_letter_headers(headers) == DeadLetterHeaders(None, None, "", "")


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (None, None),
        ([], None),
        ([("other", b"x")], None),
        ([("name", b"first"), ("name", b"last")], "last"),
        ([("name", b"first"), ("name", None)], "first"),
        ([("name", None)], None),
        ([("name", b"\xff")], None),
        ([("name", b"")], ""),
        ([("name", "größe".encode())], "größe"),
        ([("NAME", b"x")], None),
    ],
)
def test_text_header_is_read_as_utf8_or_not_at_all(
    headers: list[tuple[str, bytes | None]] | None, text: str | None
) -> None:
    """The last value of a name counts; what is no text is as good as absent."""
    assert text_header(headers, "name") == text


def test_command_headers_name_the_encoding_and_the_job() -> None:
    """A command says how it is written and for which job it is."""
    assert command_headers(COMMAND, Encoding.JSON) == [
        ("content-type", b"application/json"),
        ("kafka_correlationId", JOB.encode()),
    ]
