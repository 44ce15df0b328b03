"""What a handler in a child process reports, on its way to the worker."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from kafka_bridge.protocol.headers import RawHeaders
from kafka_bridge.protocol.log_lines import LogLine
from kafka_bridge.protocol.messages import JobFailure, Progress
from kafka_bridge.worker.logs import job_fields
from kafka_bridge.worker.processes.messages import (
    Logged,
    Named,
    Reported,
    Retried,
    RunJob,
    Saved,
)
from kafka_bridge.worker.runtime import report_values
from kafka_bridge.worker.runtime.job_lines import LOG_SECONDS, JobLines

_log = logging.getLogger(__name__)

REPORT_SECONDS = 0.1
"""The shortest time between two reports to the worker, which publishes at most two a second."""


class Link(Protocol):
    """The connection to the worker."""

    def send(self, message: object) -> None:
        """Send a message."""

    def send_if_free(self, message: object) -> bool:
        """Send a message unless another one is being sent; return whether it was sent."""


class Reports:
    """Sends the reports of one job to the worker, the latest at most ten times a second."""

    def __init__(self, job: RunJob, link: Link) -> None:
        self._job = job
        self._link = link
        self._send = link.send
        self.delivery = job.delivery
        self.external_id = job.external_id
        self.checkpoint = job.checkpoint
        self.request_headers: RawHeaders = job.headers
        self.lines = JobLines.at(job.forward_logs, self._send_tail)
        self._unsent: tuple[Progress | None, str | None] | None = None
        self._last_sent = self._last_lines = self._last_tail = 0.0
        self._complaints: frozenset[str] = frozenset()
        self._lock = threading.RLock()

    def progress(
        self, completed: object, total: object, unit: object, message: object = None
    ) -> None:
        """Report progress, with a message."""
        progress = report_values.progress(completed, total, unit, self.complain)
        text = None if message is None else report_values.message(message, self.complain)
        self._report(progress, text)

    def message(self, text: object) -> None:
        """Report a line for the task's log."""
        self._report(None, report_values.message(text, self.complain))

    def _report(self, progress: Progress | None, message: str | None) -> None:
        with self._lock:
            before = self._unsent or (None, None)
            self._unsent = (progress or before[0], message or before[1])
        self.send_due()

    def send_due(self) -> None:
        """Send the latest report, if the one before is long enough ago."""
        if time.monotonic() - self._last_sent >= REPORT_SECONDS:
            self._send_report()

    def send_due_lines(self) -> None:
        """Send what was logged: the lines once a second, the last ones whenever there are others.

        Call this at most ten times a second.
        """
        self._send_lines(is_due=time.monotonic() - self._last_lines >= LOG_SECONDS)

    def send_unsent(self) -> None:
        """Send everything now."""
        self._send_report()
        self._send_lines(is_due=True)

    def _send_lines(self, *, is_due: bool) -> None:
        lines = self.lines
        if lines is None or not (lines.has_news or (is_due and lines.has_lines)):
            return
        with self._lock:  # in order, whichever thread sends them
            drained: list[LogLine] = []
            if is_due:
                drained, self._last_lines = lines.drain(), time.monotonic()
            self._send(Logged(tuple(drained), tuple(lines.tail())))

    def _send_tail(self, lines: JobLines) -> None:
        """Send the last lines at once: the handler's next step may kill this process, or hang."""
        now = time.monotonic()
        if now - self._last_tail >= REPORT_SECONDS:
            self._last_tail = now
            if not self._link.send_if_free(Logged((), tuple(lines.tail()))):
                lines.has_news = True

    def _send_report(self) -> None:
        with self._lock:
            if self._unsent is not None:
                (progress, message), self._unsent = self._unsent, None
                self._last_sent = time.monotonic()
                self._send(Reported(progress, message))

    def set_external_id(self, name: str) -> None:
        """Report the external id.

        :raises InvalidMessage: it is not text
        """
        self.external_id = report_values.external_id(name, self.complain)
        self._send(Named(self.external_id))

    def save_checkpoint(self, text: str) -> None:
        """Report a checkpoint, if it is a new one: every one, since this process may die."""
        if text != self.checkpoint:
            self.checkpoint = text
            self._send(Saved(text))

    def note_retry(self, attempt: int, failure: JobFailure, seconds: float) -> None:
        """Report that the handler failed and is called again."""
        self.send_unsent()
        self._send(Retried(attempt, failure, seconds))

    def complain(self, field: str, fault: str) -> None:
        """Log what is not sent; once for each field of a job."""
        if field not in self._complaints:
            self._complaints |= {field}
            request = self._job.request
            _log.warning(
                "Job %s (%s): %s",
                request.correlation_id,
                request.job_type,
                fault,
                extra=job_fields(request),
            )
