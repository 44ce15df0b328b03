"""Text from outside can be shown: nothing in it acts on who reads it, and it is bounded."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol.messages import (
    Command,
    JobCommand,
    JobFailure,
    JobRequest,
    JobState,
    Progress,
    Reference,
    StatusEvent,
    Task,
)
from kafka_bridge.protocol.sanitize import block, one_line, sanitized

JOB = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(categories=None), max_size=300)
HOSTILE = "a\x00b\x1b[31mc\nd\u202ee\ud800f::group::g\x9bh\u2028i"
HARMLESS = r"a\x00b\x1b[31mc\nd\u202ee\ud800f: :group::g\x9bh\u2028i"


def test_what_acts_on_a_reader_is_shown_as_its_escape() -> None:
    """NUL, escape codes, newlines, bidirectional marks and half characters stay visible."""
    assert one_line(HOSTILE) == HARMLESS


def test_a_block_keeps_its_lines_and_nothing_else() -> None:
    """Newlines and tabs stay, also those of Windows; a lone carriage return hides a line."""
    assert block("one\r\n\ttwo\rthree\x1b[2J") == "one\n\ttwo\\rthree\\x1b[2J"


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 日本語 👩‍💻", "a::b", "C:\\new", "50 %"])
def test_honest_text_stays_as_it_is(text: str) -> None:
    """Text in any language, emoji of several code points, backslashes."""
    assert one_line(text) == text
    assert block(text) == text


def test_a_line_that_is_too_long_says_how_long_it_was() -> None:
    """Its beginning is kept."""
    assert one_line("x" * 10_000_000, 60) == "x" * 25 + " … (cut, 10,000,000 bytes in all)"


def test_a_block_that_is_too_long_keeps_both_ends() -> None:
    """A traceback tells most in its last lines."""
    text = block("first line\n" + "x" * 100_000 + "\nlast line", 100)
    assert text.startswith("first line\n")
    assert text.endswith("\nlast line")
    assert "(cut, 100,021 bytes in all)" in text


@given(ANY_TEXT, st.integers(50, 200))
def test_any_text_becomes_a_bounded_printable_line(text: str, limit: int) -> None:
    """For every text there is."""
    line = one_line(text, limit)
    assert len(line.encode("utf-8")) <= limit
    assert not any(unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} for each in line)
    assert "::group::" not in line.lower()
    assert one_line(line, limit) == line


@given(ANY_TEXT, st.integers(50, 200))
def test_any_text_becomes_a_bounded_block(text: str, limit: int) -> None:
    """The same, where lines may stay."""
    lines = block(text, limit)
    assert len(lines.encode("utf-8")) <= limit
    assert not any(
        unicodedata.category(each) in {"Cc", "Cs"} for each in lines if each not in "\n\t"
    )


def _event(text: str) -> StatusEvent:
    return StatusEvent(
        correlation_id=JOB,
        event_id=text,
        sequence=0,
        state=JobState.FAILED,
        occurred_at=NOW,
        worker_id=text,
        message=text,
        progress=Progress(1.0, unit=text),
        external_id=text,
        result_ref=Reference(text, "0" * 64, 1),
        error=JobFailure(text, text, text),
    )


def test_every_text_of_an_event_is_cleaned() -> None:
    """Fields that a person reads have no way around."""
    error = JobFailure(HARMLESS, HARMLESS.replace("\\n", "\n"), HARMLESS.replace("\\n", "\n"))
    unit = one_line(HOSTILE, 50)
    assert sanitized(_event(HOSTILE)) == replace(
        _event(HARMLESS), error=error, progress=Progress(1.0, unit=unit)
    )


def test_every_text_of_a_request_and_of_a_command_is_cleaned() -> None:
    """Who writes to the request or the control topic chooses these."""

    def request(text: str) -> JobRequest:
        task = Task(text, text, text, text, url=text)
        return JobRequest(
            correlation_id=JOB, job_type=text, response_topic=text, created_at=NOW, task=task,
            payload_ref=Reference(text, "0" * 64, 1),
        )  # fmt: skip

    def command(text: str) -> JobCommand:
        return JobCommand(correlation_id=JOB, command=Command.CANCEL, reason=text, issued_at=NOW)

    assert sanitized(request(HOSTILE)) == request(HARMLESS)
    assert sanitized(command(HOSTILE)) == command(HARMLESS)


def test_address_of_a_result_is_whole() -> None:
    """A URL that is signed for a day's session is longer than a line for a person."""
    signed = "https://bucket.example.com/result?X-Amz-Security-Token=" + "A" * 3_000
    event = replace(_event("fine"), result_ref=Reference(signed, "0" * 64, 1))
    assert sanitized(event) is event


def test_a_clean_message_is_not_copied() -> None:
    """A reader decodes thousands a second."""
    event = _event("fine")
    assert sanitized(event) is event
