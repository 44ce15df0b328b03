"""Reads progress and messages from the lines that a program prints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import regex
from pydantic import BeforeValidator

from kafka_bridge.gateway.field_types import expect
from kafka_bridge.gateway.json_text import read_json
from kafka_bridge.gateway.untrusted_text import number_of, text_of
from kafka_bridge.protocol import messages

GROUPS = ("completed", "total", "unit", "message")
JSON = "json"
SLOW_SECONDS = 0.05
"""The timeout of a pattern for one line. All jobs of the gateway wait meanwhile. The library
``regex`` supports a timeout; ``re`` would block the whole process."""
SLOW_LINES_SECONDS = 0.25
"""The limit of CPU time for all lines that arrive at once."""
PATTERN_CHARACTERS = 1_000
"""The part of a line that a pattern is applied to."""


@dataclass(frozen=True, slots=True)
class LineReport:
    """The progress and the message in one or more lines."""

    progress: messages.Progress | None = None
    message: str | None = None


class JsonLines:
    """Reads JSON objects with ``progress``, ``message`` or both; other lines are messages."""

    def may_have_progress(self, line: str) -> bool:
        """Return False for a line that is only a message; it takes no time."""
        return line.startswith("{")

    def read(self, line: str) -> LineReport:
        """Return the progress and message in a line."""
        if not line.startswith("{"):
            return LineReport(message=line)
        try:
            content = read_json(line.encode())
        except ValueError:
            return LineReport(message=line)
        progress, message = _progress(content.get("progress")), content.get("message")
        if isinstance(message, str):
            return LineReport(progress, text_of(message))
        return LineReport(progress, None if progress else line)


@dataclass(frozen=True, slots=True)
class PatternLines:
    """Reads progress with a regular expression; lines without a match are messages."""

    pattern: regex.Pattern[str]

    def may_have_progress(self, line: str) -> bool:  # noqa: ARG002
        """Return True: only the pattern knows."""
        return True

    def read(self, line: str) -> LineReport:
        """Return the progress and message in a line.

        :raises TimeoutError: the pattern takes longer than ``SLOW_SECONDS``
        """
        found = self.pattern.search(line[:PATTERN_CHARACTERS], timeout=SLOW_SECONDS)
        groups = found.groupdict() if found else {}
        completed = _number_in(groups.get("completed"))
        if completed is None:
            return LineReport(message=line)
        progress = messages.Progress(completed, _number_in(groups.get("total")), groups.get("unit"))
        return LineReport(progress, groups.get("message"))


class PlainLines:
    """All lines are messages."""

    def may_have_progress(self, line: str) -> bool:  # noqa: ARG002
        """Return False."""
        return False

    def read(self, line: str) -> LineReport:
        """Return the progress and message in a line."""
        return LineReport(message=line)


def latest(lines: Sequence[str], reader: JsonLines | PatternLines | PlainLines) -> LineReport:
    """Return the last progress and the last message of some lines.

    They are read from the end, so that a program with much output does not delay other jobs.

    :raises TimeoutError: the pattern is too slow for one line, or for all of them
    """
    progress = message = None
    until = time.thread_time() + SLOW_LINES_SECONDS
    for line in reversed(lines):
        if (message and not reader.may_have_progress(line)) or not line.strip():
            continue
        report = reader.read(line)
        progress, message = progress or report.progress, message or report.message
        if progress and message:
            break
        if time.thread_time() > until:
            raise TimeoutError
    return LineReport(progress, message)


def _progress(value: Any) -> messages.Progress | None:
    """Return the progress in a JSON value, None if it is invalid."""
    if not isinstance(value, dict) or (completed := number_of(value.get("completed"))) is None:
        return None
    return messages.Progress(completed, number_of(value.get("total")), text_of(value.get("unit")))


def _number_in(text: str | None) -> float | None:
    """Return the number in a text, with or without thousands separators (commas)."""
    try:
        return number_of(float((text or "").replace(",", "")))
    except ValueError:
        return None


JSON_LINES = JsonLines()


def _reader(value: object) -> JsonLines | PatternLines:
    if isinstance(value, JsonLines | PatternLines):
        return value
    if value == JSON:
        return JSON_LINES
    if not isinstance(value, str):
        expect(f"{JSON}, or a string with a regular expression")
    try:
        pattern = regex.compile(value)
    except regex.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return _checked(pattern)


def _checked(pattern: regex.Pattern[str]) -> PatternLines:
    if "completed" not in pattern.groupindex:
        raise ValueError(
            f"{pattern.pattern!r} has no group (?P<completed>…): expected one, or the word {JSON}"
        )
    if unknown := pattern.groupindex.keys() - set(GROUPS):
        raise ValueError(
            f"unknown group {', '.join(sorted(unknown))} in {pattern.pattern!r}: expected "
            f"{', '.join(GROUPS)}"
        )
    return PatternLines(pattern)


LineReader = Annotated[JsonLines | PatternLines, BeforeValidator(_reader)]
