"""The lines that a job logs, as its task's log is to have them: limited, in order and harmless.

A job may log a hundred thousand lines in a few seconds, and an Airflow that shows them carries a
thousand bytes of a job in a second. So lines are forwarded within a budget, further ones are
counted, and the last ones are kept for the error of a job that fails.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from kafka_bridge.kafka.forks import generation
from kafka_bridge.protocol.log_lines import LEVELS, LogLine
from kafka_bridge.protocol.sanitize import one_line
from kafka_bridge.worker.log_levels import OFF

BYTES_PER_SECOND = 4_000.0
"""How much of a job's log is forwarded, on average."""
EVENT_BYTES = 16_000
"""The same at once, after some quiet seconds: one event."""
RESERVED_BYTES = 4_000
"""The part of both that is for warnings and errors only."""
LINE_BYTES = 1_000
"""A longer line is cut."""
RECORD_CHARACTERS = 8_000
"""Of one call of a logger, no more is forwarded: a message of many lines, a traceback."""
RECORD_LINES = 100
TAIL_LINES = 20
"""How many of the last lines the error of a failed job has, forwarded or not."""
LOG_SECONDS = 1.0
"""The shortest time between two events with lines."""
INDENT = "    "
"""Before each further line of one call: a message cannot look like another line of the log."""

_SEVERE = ("WARNING", "ERROR", "CRITICAL")
_NOT_SHOWN = frozenset(
    {"event", "level", "logger", "timestamp", "correlation_id", "job_type"}
    | {"exc_info", "stack_info", "_record", "_from_structlog"}
)
"""What a structlog event has besides its own values."""

Added: TypeAlias = Callable[["JobLines"], None]


class JobLines:
    """The forwarded lines of one job. Any thread may add some.

    :param level: the number of the lowest level that is forwarded
    :param added: called with the lines after each one, on the thread that logs
    :ivar has_news: whether lines were added since :meth:`tail` was called
    """

    __slots__ = (
        "_added",
        "_counted_at",
        "_left",
        "_left_out",
        "_lines",
        "_lock",
        "_size",
        "_tail",
        "has_news",
        "level",
        "made_in",
    )

    def __init__(self, level: int, added: Added | None = None) -> None:
        self.level = level
        self._added = added
        self.made_in = generation()
        """Of a forked child process, nothing is forwarded."""
        self._lines: list[LogLine] = []
        self._size = 0
        self._left = float(EVENT_BYTES)
        self._counted_at = time.monotonic()
        self._left_out = 0
        self._tail: deque[LogLine] = deque(maxlen=TAIL_LINES)
        self.has_news = False
        self._lock = threading.RLock()  # a signal handler that logs may interrupt this thread here

    @classmethod
    def at(cls, level: str | None, added: Added | None = None) -> JobLines | None:
        """Return the lines of a new job; None if nothing is forwarded.

        :param level: the name of a level, or ``OFF``
        """
        return None if level is None or level == OFF else cls(LEVELS[level], added)

    def add(self, record: logging.LogRecord) -> None:
        """Add what a logger was told, or count it if the budget is spent."""
        self._add(record)
        if self._added is not None:
            self._added(self)

    def _add(self, record: logging.LogRecord) -> None:
        level, text = _level(record.levelno), _message(record)
        is_severe = level in _SEVERE
        with self._lock:
            self._tail.append(LogLine(level, text[:LINE_BYTES]))  # made harmless when it is read
            self.has_news = True
            if not self._has_room(is_severe=is_severe):
                self._left_out += 1
                return
        lines = list(_lines(text + _traceback(record)))
        with self._lock:
            self._note_left_out()
            for line in lines:
                self._append(LogLine(level, line))

    def _has_room(self, *, is_severe: bool) -> bool:
        now = time.monotonic()
        grown = self._left + (now - self._counted_at) * BYTES_PER_SECOND
        self._left, self._counted_at = min(EVENT_BYTES, grown), now
        room = min(self._left, EVENT_BYTES - self._size)
        if is_severe:
            return room > 0
        # After a line that was left out, the rest of the event is, too: one count, not many.
        return room > RESERVED_BYTES and not self._left_out

    def _append(self, line: LogLine) -> None:
        size = len(line.level) + len(line.text.encode()) + 2
        self._lines.append(line)
        self._size += size
        self._left -= size

    def _note_left_out(self) -> None:
        if self._left_out:
            text = f"… {self._left_out:,} more lines were not forwarded"
            if self._left_out == 1:
                text = "… 1 more line was not forwarded"
            self._append(LogLine("INFO", text))
            self._left_out = 0

    @property
    def has_lines(self) -> bool:
        """Whether there is something to forward."""
        return bool(self._lines or self._left_out)

    def drain(self) -> list[LogLine]:
        """Return the lines that were not forwarded yet, with the count of those left out."""
        with self._lock:
            self._note_left_out()
            lines, self._lines, self._size = self._lines, [], 0
        return lines

    def tail(self) -> list[LogLine]:
        """Return the last lines, forwarded or not."""
        with self._lock:
            self.has_news = False
            last = list(self._tail)
        return [LogLine(level, one_line(text, LINE_BYTES)) for level, text in last]

    def take(self, lines: Sequence[LogLine], tail: Sequence[LogLine]) -> None:
        """Add lines that a child process has drained, and have its last ones as the last ones."""
        with self._lock:
            self._tail = deque(tail, maxlen=TAIL_LINES)
            if self._size >= EVENT_BYTES:  # nothing could be published for some seconds
                self._left_out += len(lines)
                return
            for line in lines:
                self._append(line)


def _level(number: int) -> str:
    """Return the highest level that is not above a number; there may be others between."""
    found = "DEBUG"
    for name, least in LEVELS.items():
        if number >= least:
            found = name
    return found


def _message(record: logging.LogRecord) -> str:
    try:
        if isinstance(record.msg, Mapping) and "event" in record.msg:
            return _structured(record.msg)
        return record.getMessage()
    except Exception as error:  # the arguments do not fit, or one of them has no text
        return f"(a line of logger {record.name} cannot be shown: {type(error).__name__})"


def _structured(values: Mapping[str, Any]) -> str:
    """Return a structlog event that was not rendered yet."""
    others = [
        f"{name}={value if isinstance(value, str) else repr(value)}"
        for name, value in values.items()
        if name not in _NOT_SHOWN
    ]
    return " ".join([str(values["event"]), *others])


def _traceback(record: logging.LogRecord) -> str:
    try:
        error = _error(record)
        return "" if error is None else "\n" + "".join(traceback.format_exception(error))
    except Exception as fault:
        return f"\n(a traceback that cannot be shown: {type(fault).__name__})"


def _error(record: logging.LogRecord) -> BaseException | None:
    found: Any = record.exc_info
    if found is None and isinstance(record.msg, Mapping):
        found = record.msg.get("exc_info")
    if isinstance(found, BaseException):
        return found
    if isinstance(found, tuple):
        return found[1] if len(found) > 1 and isinstance(found[1], BaseException) else None
    return sys.exception() if found else None


def _lines(text: str) -> Iterator[str]:
    """Give a text as harmless lines; the further ones are indented."""
    parts = [each for each in text[:RECORD_CHARACTERS].splitlines() if each.strip()] or [""]
    yield one_line(parts[0].expandtabs(4), LINE_BYTES)
    for each in parts[1:RECORD_LINES]:
        yield one_line(INDENT + each.expandtabs(4), LINE_BYTES)
    if len(text) > RECORD_CHARACTERS or len(parts) > RECORD_LINES:
        yield f"{INDENT}… (cut, {len(text):,} characters in all)"
