"""The lines that a job has logged, in an attribute of a RUNNING event.

Each line of the attribute's text is a level, a space and a line of the log. The event's message is
for readers that do not know the attribute: it has the last line only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kafka_bridge.protocol.sanitize import one_line

LOG_LINES = "log_lines"
"""The attribute."""
LEVELS: Mapping[str, int] = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
"""The levels of a line, and Python's numbers for them."""
MOST_LINES = 1_000
"""More lines of one event are not read."""


class LogLine(NamedTuple):
    """A line of a job's log.

    :param level: one of :data:`LEVELS`
    :param text: one line
    """

    level: str
    text: str

    def __str__(self) -> str:
        return f"{self.level} {self.text}"


def log_attributes(lines: Sequence[LogLine]) -> dict[str, str]:
    """Return the attributes of an event that has these lines."""
    return {LOG_LINES: "\n".join(map(str, lines))}


def summary(lines: Sequence[LogLine]) -> str:
    """Return the message of an event that has these lines."""
    level, text = lines[-1]
    last = text if level == "INFO" else f"{level}: {text}"
    others = len(lines) - 1
    if not others:
        return last
    return f"{last} (and {others} log line{'s' if others > 1 else ''} before it)"


def log_lines(attributes: Mapping[str, str], limit: int) -> Iterator[LogLine]:
    """Give the lines of an event as harmless text, from any worker.

    A line without a known level is a line at INFO.

    :param limit: a longer line is cut: bytes, at least 50
    """
    text = attributes.get(LOG_LINES)
    if not text:
        return
    lines = text.split("\n", MOST_LINES)
    for line in lines[:MOST_LINES]:
        level, _, rest = line.partition(" ")
        if level in LEVELS:
            yield LogLine(level, one_line(rest, limit))
        else:
            yield LogLine("INFO", one_line(line, limit))
    for rest in lines[MOST_LINES:]:
        yield LogLine("INFO", f"… {rest.count(chr(10)) + 1:,} more lines of the event")
