"""Log lines in an attribute of an event: as written by this worker and by any."""

from __future__ import annotations

import pytest

from kafka_bridge.protocol.log_lines import (
    LOG_LINES,
    MOST_LINES,
    LogLine,
    log_attributes,
    log_lines,
    summary,
)

LINES = [
    LogLine("INFO", "Reading a.png"),
    LogLine("WARNING", "  a.png is large"),
    LogLine("INFO", ""),
]


def test_lines_are_read_as_they_were_written() -> None:
    """Levels, order, indentation and empty lines."""
    assert log_attributes(LINES) == {
        LOG_LINES: "INFO Reading a.png\nWARNING   a.png is large\nINFO "
    }
    assert list(log_lines(log_attributes(LINES), 100)) == LINES


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("no level", [LogLine("INFO", "no level")]),
        ("ERROR\ninfo x", [LogLine("ERROR", ""), LogLine("INFO", "info x")]),
        ("INFO \x1b[31mred\r\x00", [LogLine("INFO", r"\x1b[31mred\r\x00")]),
        ("INFO ::group::x", [LogLine("INFO", ": :group::x")]),
    ],
)
def test_lines_of_any_worker_are_harmless(text: str, lines: list[LogLine]) -> None:
    """A line without a level is one at INFO."""
    assert list(log_lines({LOG_LINES: text}, 100)) == lines


def test_long_lines_are_cut_and_too_many_are_counted() -> None:
    """An event cannot fill a log."""
    (line,) = log_lines({LOG_LINES: "INFO " + "x" * 10_000}, 100)
    assert len(line.text.encode()) <= 100
    *_, last = log_lines({LOG_LINES: "INFO x\n" * (MOST_LINES + 6) + "INFO x"}, 100)
    assert last == LogLine("INFO", "… 7 more lines of the event")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (LINES[:1], "Reading a.png"),
        (LINES[:2], "WARNING:   a.png is large (and 1 log line before it)"),
        ([*LINES, *LINES[:1]], "Reading a.png (and 3 log lines before it)"),
    ],
)
def test_message_is_the_last_line(lines: list[LogLine], words: str) -> None:
    """For those who do not know the attribute."""
    assert summary(lines) == words
