"""The output of a gateway's handlers: masked, and safe to show.

The events, results and errors of all jobs pass through here, whether a service or a program runs
them. Log lines pass through :func:`mask_logs`.
"""

from __future__ import annotations

import logging
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from kafka_bridge.gateway.mask import MASK, Mask
from kafka_bridge.protocol.messages import JobRequest, Progress
from kafka_bridge.protocol.sanitize import (
    ERROR_MESSAGE_BYTES,
    NAME_BYTES,
    UNIT_BYTES,
    block,
    one_line,
)
from kafka_bridge.worker import ApplicationError, JobContext, JobStopped, StopReason

REMARK_SECONDS = 1.0
"""Longer than the pause between two events, in which only the latest message is published."""


class MaskedJob:
    """The job of a gateway's handler; everything that it publishes is masked.

    :ivar mask: masks the job's secrets; the handler adds further ones
    """

    def __init__(self, job: JobContext, mask: Mask) -> None:
        self.mask = mask
        self._job = job
        self._remark = ""
        self._remark_until = 0.0

    @property
    def request(self) -> JobRequest:
        """The whole job request."""
        return self._job.request

    @property
    def correlation_id(self) -> str:
        """The job's id."""
        return self._job.correlation_id

    @property
    def job_type(self) -> str:
        """The job's type."""
        return self._job.job_type

    @property
    def attempt(self) -> int:
        """How many times the task has submitted this work, from 1."""
        return self._job.attempt

    @property
    def delivery(self) -> int:
        """How many times a gateway has received this job, from 1."""
        return self._job.delivery

    @property
    def external_id(self) -> str | None:
        """The service's id of the job, None while it is unknown."""
        return self._job.external_id

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the job should stop, None while it may go on."""
        return self._job.stop_reason

    def raise_if_stopped(self) -> None:
        """Return if the job may go on.

        :raises JobStopped: it should stop
        """
        self._job.raise_if_stopped()

    def report(self, progress: Progress | None, message: str | None) -> None:
        """Publish progress, a message or both; see :meth:`JobContext.progress`."""
        if time.monotonic() < self._remark_until:
            message = "; ".join(each for each in (self._remark, message) if each)
        shown = None if message is None else one_line(self.mask.text(message))
        if progress is not None:
            unit = progress.unit and one_line(self.mask.text(progress.unit), UNIT_BYTES)
            self._job.progress(progress.completed, total=progress.total, unit=unit, message=shown)
        elif shown is not None:
            self._job.message(shown)

    def message(self, text: str) -> None:
        """Publish a message."""
        self.report(None, text)

    def remark(self, text: str) -> None:
        """Publish a message. Messages of the next second are appended and do not replace it."""
        self._remark, self._remark_until = text, time.monotonic() + REMARK_SECONDS
        self.report(None, None)

    def set_external_id(self, name: str) -> None:
        """Publish the service's id of the job.

        :raises ApplicationError: the id contains a secret, or cannot be shown unchanged. Every
            event contains it, and another gateway uses it to find the job
        """
        if MASK in name or one_line(self.mask.text(name)) != name:
            raise ApplicationError(
                "the external id of the job cannot be published: it contains a secret or control "
                "characters, or is too long",
                type="external_id_unusable",
                details="",
                retryable=False,
            )
        self._job.set_external_id(name)


class GatewayHandler(ABC):
    """Runs the jobs of one type."""

    async def handle(self, job: JobContext, payload: Any) -> Any:
        """Run a job; return its result.

        :raises ApplicationError: the job failed
        :raises JobStopped: the job was told to stop
        """
        mask = self.mask()
        try:
            return mask.value(await self.do(MaskedJob(job, mask), payload))
        except JobStopped as stopped:
            raise JobStopped(stopped.reason, one_line(mask.text(str(stopped)))) from None
        except Exception as error:
            raise _masked(error, mask) from None

    @abstractmethod
    def mask(self) -> Mask:
        """Return the mask for a new job."""

    @abstractmethod
    async def do(self, job: MaskedJob, payload: Any) -> Any:
        """Run a job; return its result."""


def _masked(error: Exception, mask: Mask) -> ApplicationError:
    kind, details, retryable = type(error).__qualname__, None, True
    if isinstance(error, ApplicationError):
        kind, details, retryable = error.type, error.details, error.retryable
    if details is None:
        details = "".join(traceback.format_exception(error))
    return ApplicationError(
        block(mask.text(str(error)), ERROR_MESSAGE_BYTES),
        type=one_line(mask.text(kind), NAME_BYTES),
        details=block(mask.text(details)),
        retryable=retryable,
    )


def mask_logs(masked: Callable[[str], str]) -> None:
    """Mask all log lines of the process from now on.

    :param masked: returns a text with masked secrets
    """
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Masking(masked, handler.formatter or logging.Formatter()))


class _Masking(logging.Formatter):
    def __init__(self, masked: Callable[[str], str], formatter: logging.Formatter) -> None:
        super().__init__()
        self._masked = masked
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return self._masked(self._formatter.format(record))
