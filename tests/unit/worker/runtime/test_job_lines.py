"""Which lines of a job are forwarded, how many, and how they look."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from kafka_bridge.protocol.log_lines import LogLine
from kafka_bridge.testing import FakeClock
from kafka_bridge.worker.runtime import job_lines
from kafka_bridge.worker.runtime.job_lines import (
    BYTES_PER_SECOND,
    EVENT_BYTES,
    LINE_BYTES,
    RECORD_CHARACTERS,
    TAIL_LINES,
    JobLines,
)
from unit.clocks import clock_of

SIZE = 100
"""What one of the lines of these tests takes of the budget."""


clock = clock_of(job_lines)


def record(msg: object, *args: object, level: int = logging.INFO, **more: Any) -> logging.LogRecord:
    """Return a record as a logger makes it."""
    exc_info = more.get("exc_info")
    return logging.LogRecord("service", level, __file__, 1, msg, args, exc_info)


def line(number: int) -> str:
    """Return a line of a known size."""
    return f"{number}".ljust(SIZE - len("INFO") - 2, ".")


def shown(*records: logging.LogRecord) -> list[str]:
    """Return what is forwarded of records."""
    lines = JobLines(logging.DEBUG)
    for each in records:
        lines.add(each)
    return [str(each) for each in lines.drain()]


class NoText:
    """An object that has no text."""

    def __str__(self) -> str:
        raise OSError("gone")


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (record("%d of %d", 1, 2), ["INFO 1 of 2"]),
        (record("debug", level=logging.DEBUG), ["DEBUG debug"]),
        (record("between", level=25), ["INFO between"]),
        (record("below", level=5), ["DEBUG below"]),
        (record("highest", level=99), ["CRITICAL highest"]),
        (record(""), ["INFO "]),
        (record("%d", "x"), ["INFO (a line of logger service cannot be shown: TypeError)"]),
        (record(NoText()), ["INFO (a line of logger service cannot be shown: OSError)"]),
        (
            record("one\nERROR two\r\n\tthree"),
            ["INFO one", "INFO     ERROR two", "INFO         three"],
        ),
        (record("\x1b[31mred\x00"), [r"INFO \x1b[31mred\x00"]),
        (
            record(
                {"event": "read", "rows": 7, "of": "a.png", "correlation_id": "7", "level": "info"}
            ),
            ["INFO read rows=7 of=a.png"],
        ),
    ],
)
def test_line_is_harmless_text_at_its_level(given: logging.LogRecord, lines: list[str]) -> None:
    """Whatever a logger was told; a further line cannot look like another record."""
    assert shown(given) == lines


@pytest.mark.parametrize("how", ["tuple", "structlog", "structlog with the error"])
def test_traceback_follows_its_line(how: str) -> None:
    """Of the standard library's logging and of structlog."""
    try:
        int("x")
    except ValueError as error:
        if how == "tuple":
            given = record("failed", exc_info=sys.exc_info())
        else:
            given = record({"event": "failed", "exc_info": error if "error" in how else True})
        lines = shown(given)
    assert lines[:2] == ["INFO failed", "INFO     Traceback (most recent call last):"]
    assert lines[-1].startswith("INFO     ValueError: invalid literal")


def test_huge_line_is_cut() -> None:
    """One with newlines, too."""
    (long,) = shown(record("x" * LINE_BYTES * 2))
    assert len(long) <= LINE_BYTES + len("INFO ")
    cut = shown(record("x\n" * RECORD_CHARACTERS))
    assert cut[-1] == f"INFO     … (cut, {2 * RECORD_CHARACTERS:,} characters in all)"
    assert sum(map(len, cut)) < EVENT_BYTES


def test_lines_over_the_budget_are_counted(clock: FakeClock) -> None:
    """In one place of each event; the budget comes back with time."""
    lines = JobLines(logging.INFO)
    for number in range(1_000):
        lines.add(record(line(number)))
        clock.advance(0.0001)
    first = lines.drain()
    assert [each.text for each in first[:-1]] == [line(n) for n in range(len(first) - 1)]
    assert 100 <= len(first) - 1 < EVENT_BYTES / SIZE
    assert first[-1] == LogLine("INFO", f"… {1_001 - len(first):,} more lines were not forwarded")
    clock.advance(1.0)
    for number in range(1_000):
        lines.add(record(line(number)))
    *forwarded, _ = lines.drain()
    assert len(forwarded) == pytest.approx(BYTES_PER_SECOND / SIZE, abs=5)
    assert not lines.has_lines


def test_errors_have_a_part_of_the_budget_for_themselves(clock: FakeClock) -> None:
    """They are not lost among ten thousand other lines, and their place is right."""
    lines = JobLines(logging.INFO)
    for number in range(1_000):
        lines.add(record(line(number)))
    lines.add(record("disk full", level=logging.ERROR))
    for number in range(1_000):
        lines.add(record(line(number)))
    *_, left_out, error, left_out_later = lines.drain()
    assert left_out.text.endswith("more lines were not forwarded")
    assert error == LogLine("ERROR", "disk full")
    assert left_out_later == LogLine("INFO", "… 1,000 more lines were not forwarded")


def test_lines_that_cannot_be_published_do_not_pile_up(clock: FakeClock) -> None:
    """An hour without a broker takes no more memory than some seconds."""
    lines = JobLines(logging.INFO)
    child = [LogLine("INFO", line(0))] * 10
    for number in range(3_600):
        clock.advance(1.0)
        lines.add(record(line(number), level=logging.ERROR))
        lines.take(child, child)
    assert sum(len(str(each)) for each in lines.drain()) < EVENT_BYTES * 2


def test_last_lines_are_kept_whether_or_not_they_are_forwarded(clock: FakeClock) -> None:
    """Those of a child process take the place of the worker's own."""
    lines = JobLines(logging.INFO)
    for number in range(1_000):
        lines.add(record(f"{number}\n"))
    assert lines.tail() == [LogLine("INFO", rf"{n}\n") for n in range(1_000 - TAIL_LINES, 1_000)]
    lines.take([], [LogLine("INFO", "last")])
    assert lines.tail() == [LogLine("INFO", "last")]


@pytest.mark.parametrize("level", [None, "OFF"])
def test_nothing_is_kept_of_a_job_whose_lines_are_not_forwarded(level: str | None) -> None:
    """It costs nothing."""
    assert JobLines.at(level) is None
