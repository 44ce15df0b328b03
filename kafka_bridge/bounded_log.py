"""Log lines that other people's records can cause: the first few in full, the others as a count.

Any client that can write to a topic or reach a port decides how many bad records a process meets.
With a line for each, 20,000 records of 3 KB filled 110 MB of log in ten seconds. So each kind of
line has a small budget in every interval, and one line at the end of the interval counts the rest.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from dataclasses import dataclass

from kafka_bridge.protocol.sanitize import LINE_BYTES, one_line

LINES = 10
"""How many lines of a kind are written in full in each interval."""
INTERVAL_SECONDS = 30.0
EXAMPLE_BYTES = 500
"""How much of the last line that was left out the summary quotes."""


def bounded_logger(
    name: str, *, lines: int = LINES, interval: float = INTERVAL_SECONDS
) -> logging.Logger:
    """Return the logger of that name, whose lines are bounded in length and in number.

    A kind of line is its text before the arguments are filled in. Debug lines and tracebacks are
    left as they are.

    :param lines: how many of a kind are written in an interval
    :param interval: seconds; after it, one line states how many were left out
    """
    logger = logging.getLogger(name)
    for former in [each for each in logger.filters if isinstance(each, LineBudget)]:
        logger.removeFilter(former)
        atexit.unregister(former.flush)
    budget = LineBudget(logger, lines, interval)
    logger.addFilter(budget)
    atexit.register(budget.flush)
    return logger


@dataclass(slots=True)
class _Kind:
    """One kind of line in the interval that began with its first one."""

    began: float
    level: int
    written: int = 0
    left_out: int = 0
    example: str = ""


class LineBudget(logging.Filter):
    """Lets the first few lines of each kind pass in an interval, and counts the others."""

    def __init__(self, logger: logging.Logger, lines: int, interval: float) -> None:
        super().__init__()
        self._logger = logger
        self._lines = lines
        self._interval = interval
        self._kinds: dict[str, _Kind] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Start again, as if no line had been written."""
        with self._lock:
            self._kinds = {}

    def flush(self) -> None:
        """Log now how many lines were left out, because the process ends."""
        for text, kind in list(self._kinds.items()):
            if kind.left_out:
                self._end_interval(text, kind)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is written; a line that is too long is cut."""
        if record.levelno <= logging.DEBUG or hasattr(record, "left_out"):
            return True
        if not self._has_room(record):
            return False
        record.msg, record.args = one_line(record.getMessage(), LINE_BYTES), ()
        return True

    def _has_room(self, record: logging.LogRecord) -> bool:
        text, now = str(record.msg), time.monotonic()
        with self._lock:
            kind = self._kinds.get(text)
            if kind is None or self._is_over(kind, now):
                self._kinds = {t: k for t, k in self._kinds.items() if not self._is_over(k, now)}
                kind = self._kinds[text] = _Kind(now, record.levelno)
            if kind.written < self._lines:
                kind.written += 1
                return True
            kind.left_out += 1
            if kind.left_out == 1:
                kind.example = one_line(record.getMessage(), EXAMPLE_BYTES)
                if not self._summarise(text, kind, max(0.0, kind.began + self._interval - now)):
                    kind.left_out = 0
            return False

    def _is_over(self, kind: _Kind, now: float) -> bool:
        return now - kind.began > self._interval and not kind.left_out

    def _summarise(self, text: str, kind: _Kind, seconds: float) -> bool:
        """Log the count after a pause; return False if no thread can be started for that."""
        timer = threading.Timer(seconds, self._end_interval, (text, kind))
        timer.name, timer.daemon = "kafka-bridge-log", True
        try:
            timer.start()
        except RuntimeError:  # the process has too many threads, or is about to end
            return False
        return True

    def _end_interval(self, text: str, kind: _Kind) -> None:
        with self._lock:
            if self._kinds.get(text) is not kind:
                return  # it was logged at the end of the process, or forgotten
            del self._kinds[text]
        self._logger.log(
            kind.level,
            "%d more lines like this one were left out in %.1f s: %s",
            kind.left_out,
            time.monotonic() - kind.began,
            kind.example,
            extra={"left_out": kind.left_out},
        )
