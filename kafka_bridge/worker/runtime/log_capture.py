"""Gives each job the lines that its handler logs, by the context in which they are logged.

A job runs in a fresh context (:mod:`contextvars`), which its tasks, and the threads that carry it,
share. So lines of jobs that run at the same time never mix, and a line that is logged outside of a
job belongs to none.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

from kafka_bridge.kafka.forks import generation
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.log_levels import OFF
from kafka_bridge.worker.runtime.job_lines import JobLines

_current: ContextVar[JobLines | None] = ContextVar("kafka_bridge_job_lines", default=None)
_OWN = "kafka_bridge"


class CapturingHandler(logging.Handler):
    """Passes the lines that reach the root logger to the job in whose context they are logged.

    The lines of the bridge itself, and those of librdkafka, which it logs, belong to no job.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass on a line, without the lock of other handlers. It never raises an exception."""
        lines = _current.get()
        if lines is not None and record.levelno >= lines.level and not _is_own(record.name):
            try:
                if lines.made_in == generation():
                    lines.add(record)
            except Exception:
                self.handleError(record)
        if record.levelno >= logging.WARNING and not self._has_others(record.name):
            _log_as_without_handlers(record)
        return True

    def _has_others(self, name: str) -> bool:
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            if any(each is not self for each in logger.handlers):
                return True
            logger = logger.parent
        return False


def _is_own(name: str) -> bool:
    return name.startswith(_OWN) and name[len(_OWN) : len(_OWN) + 1] in ("", ".")


def _log_as_without_handlers(record: logging.LogRecord) -> None:
    """Do what :mod:`logging` does with warnings in a program that has set up no handler."""
    if logging.lastResort is not None:
        logging.lastResort.handle(record)


_handler = CapturingHandler()
_users = 0
_lock = threading.Lock()


def capture(lines: JobLines | None) -> None:
    """Give what is logged in this context from now on to a job; None: to none."""
    _current.set(lines)
    if lines is not None:
        _install()


def _install() -> None:
    """Have the root logger call the handler: code of the program may have removed it again."""
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)


@contextlib.contextmanager
def capturing(handlers: Mapping[str, Handler]) -> Iterator[None]:
    """Leave the root logger as it was when the jobs of these handlers have ended."""
    global _users  # noqa: PLW0603  the root logger is the process's
    if all(each.forward_logs in (None, OFF) for each in handlers.values()):
        yield
        return
    with _lock:
        _users += 1
        _install()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                logging.getLogger().removeHandler(_handler)
