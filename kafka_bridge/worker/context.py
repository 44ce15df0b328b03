"""What a handler knows of its job and can say of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import SupportsFloat, SupportsIndex

from kafka_bridge.kafka.forks import generation
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.cancellation import StopReason, StopSignal
from kafka_bridge.worker.runtime.reporter import JobReporter


class JobContext:
    """The job that a handler works on.

    ``request`` is the whole job request; ``correlation_id`` is the idempotency key to pass on to
    systems that the handler calls.

    It belongs to the worker's process. In a child process that the handler forks, nothing that is
    reported is sent, and no request to stop arrives.
    """

    def __init__(self, request: JobRequest, reporter: JobReporter, stop: StopSignal) -> None:
        self.request = request
        self._reporter = reporter
        self._stop = stop
        self._made_in = generation()

    @property
    def correlation_id(self) -> str:
        """The job's id: the same for every delivery of the job, another for every new attempt."""
        return self.request.correlation_id

    @property
    def job_type(self) -> str:
        """What is to be done, a dotted name."""
        return self.request.job_type

    @property
    def headers(self) -> Mapping[str, str]:
        r"""The headers of the request's record as text, read-only; of equal names, the last.

        Bytes that are not UTF-8 are written as ``\xff``. ``traceparent`` and ``tracestate`` are
        also passed on in every event of the job.
        """
        return MappingProxyType(
            {
                name: value.decode("utf-8", "backslashreplace")
                for name, value in self._reporter.request_headers
                if value is not None
            }
        )

    @property
    def attempt(self) -> int:
        """How many times the Airflow task has submitted this work, from 1."""
        return self.request.attempt

    @property
    def delivery(self) -> int:
        """How many times a worker has picked this job up, from 1, as well as this one can know."""
        return self._reporter.delivery

    @property
    def cancelled(self) -> bool:
        """Whether the job should stop, for whatever reason; :attr:`stop_reason` says which."""
        return self._stop.reason is not None

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the job should stop, None while it should not."""
        return self._stop.reason

    def check_cancelled(self) -> None:
        """Return if the job may go on. Cheap enough to call for every item.

        Coroutine handlers need not call it: they get an :class:`asyncio.CancelledError` where they
        await.

        :raises JobStopped: it should stop. Clean up and let it pass: that confirms the cancel
        """
        self._stop.check()

    def sleep(self, seconds: float) -> None:
        """Sleep, no longer than until the job should stop. For handlers that are no coroutines.

        :raises JobStopped: it should stop
        """
        self._stop.wait(seconds)

    def progress(
        self,
        completed: SupportsFloat | SupportsIndex,
        *,
        total: SupportsFloat | SupportsIndex | None = None,
        unit: str | None = None,
        message: str | None = None,
    ) -> None:
        """Say how far the job has come; it shows in the Airflow task's log.

        Cheap enough to call for every item: at most two events a second are sent, the latest wins.
        Returns at once, whatever Kafka does.

        :param completed: how much is done
        :param total: of how much, where that is known
        :param unit: of what, for example ``"files"``
        :param message: what is going on, in a few words

        Numbers may be of any type that has ``__float__`` or ``__index__``: ``Decimal``, numpy's.
        What is not a finite number is left out, which the worker logs once; the job goes on.
        """
        if self._may_report():
            self._reporter.progress(completed, total, unit, message)

    def message(self, text: str) -> None:
        """Say what is going on, in a few words; it shows in the Airflow task's log.

        At most two events a second are sent, the latest text wins. Of a text that is longer than
        2,000 bytes, the beginning is sent. Returns at once.
        """
        if self._may_report():
            self._reporter.message(text)

    def _may_report(self) -> bool:
        """Tell whether this is the worker's process, and not a child that the handler forked."""
        if self._made_in == generation():
            return True
        self._reporter.complain("child", "what a forked child process reports is not sent")
        return False

    @property
    def external_id(self) -> str | None:
        """What the system that does the work calls this job, None while nobody has said so.

        In a job that is delivered again it is what the delivery before said: the work has begun,
        and may be found there.
        """
        return self._reporter.external_id

    def set_external_id(self, name: str) -> None:
        """Say what the system that does the work calls this job.

        It is sent at once and stands in every later event, for people, for other systems, and for
        the worker that goes on with the job when this one dies.

        :param name: for example the number of a batch job, or of a row, as text. What is longer
            than 2,000 bytes is cut, and then no other delivery can find the work by it
        :raises InvalidMessage: it is not text
        """
        if self._may_report():
            self._reporter.set_external_id(name)
