"""How far a program is, as its lines tell."""

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
"""How long a pattern may take for a line. All of the gateway's jobs wait meanwhile: the library
``regex`` can be stopped, while ``re`` keeps the whole process from going on."""
SLOW_LINES_SECONDS = 0.25
"""How much of the processor's time the lines may take that come at once."""
PATTERN_CHARACTERS = 1_000
"""As much of a line is looked at."""


@dataclass(frozen=True, slots=True)
class LineReport:
    """What one or more lines say."""

    progress: messages.Progress | None = None
    message: str | None = None


class JsonLines:
    """Progress is a JSON object with ``progress``, ``message`` or both; all else is a message."""

    def read(self, line: str) -> LineReport:
        """Return what a line says."""
        if not line.startswith("{"):
            return LineReport(message=line)
        try:
            told = read_json(line.encode())
        except ValueError:
            return LineReport(message=line)
        progress, message = _progress(told.get("progress")), told.get("message")
        if isinstance(message, str):
            return LineReport(progress, text_of(message))
        return LineReport(progress, None if progress else line)


@dataclass(frozen=True, slots=True)
class PatternLines:
    """Progress is where a regular expression is found in a line; all else is a message."""

    pattern: regex.Pattern[str]

    def read(self, line: str) -> LineReport:
        """Return what a line says.

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

    def read(self, line: str) -> LineReport:
        """Return what a line says."""
        return LineReport(message=line)


def newest(lines: Sequence[str], reader: JsonLines | PatternLines | PlainLines) -> LineReport:
    """Return the last progress and the last message of some lines.

    Read from their end, so that a program that says a great deal does not keep others waiting.

    :raises TimeoutError: the reader's pattern is too slow for one of them, or for all together
    """
    progress = message = None
    until = time.thread_time() + SLOW_LINES_SECONDS
    for line in reversed(lines):
        if not line.strip():
            continue
        said = reader.read(line)
        progress, message = progress or said.progress, message or said.message
        if progress and message:
            break
        if time.thread_time() > until:
            raise TimeoutError
    return LineReport(progress, message)


def _progress(told: Any) -> messages.Progress | None:
    """Return the progress that JSON tells, None where it makes no sense."""
    if not isinstance(told, dict) or (completed := number_of(told.get("completed"))) is None:
        return None
    return messages.Progress(completed, number_of(told.get("total")), text_of(told.get("unit")))


def _number_in(text: str | None) -> float | None:
    """Return the number that a text is, with or without commas between its thousands."""
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


Progress = Annotated[JsonLines | PatternLines, BeforeValidator(_reader)]
