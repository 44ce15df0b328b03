"""The job as its handler sees it: the request, what to publish about it, and requests to stop."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, SupportsFloat, SupportsIndex

from kafka_bridge.kafka.forks import generation
from kafka_bridge.protocol.headers import RawHeaders
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker import checkpoints
from kafka_bridge.worker.cancellation import StopReason, StopSignal
from kafka_bridge.worker.durations import Duration, in_seconds


class JobEvents(Protocol):
    """Publishes what a handler reports about its job. Every method returns at once."""

    @property
    def delivery(self) -> int:
        """How many times a worker has received the job, from 1."""

    @property
    def external_id(self) -> str | None:
        """The id of the job in the system that does the work."""

    @property
    def checkpoint(self) -> str | None:
        """What the handler saved last of the job, as JSON text."""

    @property
    def request_headers(self) -> RawHeaders:
        """The headers of the request's record."""

    def progress(
        self, completed: object, total: object, unit: object, message: object = None
    ) -> None:
        """Publish progress and, where given, a message."""

    def message(self, text: object) -> None:
        """Publish a line for the task's log."""

    def set_external_id(self, name: str) -> None:
        """Publish the external id.

        :raises InvalidMessage: it is not text
        """

    def save_checkpoint(self, text: str) -> None:
        """Publish a checkpoint, now or shortly.

        :param text: JSON, no longer than events may carry
        """

    def complain(self, field: str, fault: str) -> None:
        """Log what was not published, once for each field."""


class JobContext:
    """The job that a handler works on.

    ``request`` is the whole job request. ``correlation_id`` is the idempotency key to pass on to
    systems that the handler calls.

    The context belongs to the worker's process. In a child process that the handler forks, reports
    are not sent, and requests to stop do not arrive.
    """

    def __init__(
        self, request: JobRequest, events: JobEvents, stop: StopSignal, state: Any = None
    ) -> None:
        self.request = request
        self._state = state
        self._events = events
        self._stop = stop
        self._made_in = generation()

    @property
    def state(self) -> Any:
        """What the worker's lifespan gives, such as a connection pool; None without a lifespan.

        It is the same object for all jobs of a process.
        """
        return self._state

    @property
    def correlation_id(self) -> str:
        """The job's id: the same for every delivery of the job, another for every new attempt."""
        return self.request.correlation_id

    @property
    def job_type(self) -> str:
        """What to do: the dotted name that the handler is registered for."""
        return self.request.job_type

    @property
    def headers(self) -> Mapping[str, str]:
        r"""The headers of the request's record as text, read-only.

        Of headers with the same name, the last one counts. Bytes that are not UTF-8 are written as
        ``\xff``. ``traceparent`` and ``tracestate`` are also copied to every event of the job.
        """
        return MappingProxyType(
            {
                name: value.decode("utf-8", "backslashreplace")
                for name, value in self._events.request_headers
                if value is not None
            }
        )

    @property
    def attempt(self) -> int:
        """How many times the Airflow task has submitted this work, from 1."""
        return self.request.attempt

    @property
    def delivery(self) -> int:
        """How many times a worker has received this job, from 1, as far as this worker knows."""
        return self._events.delivery

    @property
    def stop_requested(self) -> bool:
        """Whether the job should stop, for any reason; :attr:`stop_reason` gives the reason."""
        return self._stop.reason is not None

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the job should stop; None while it may go on."""
        return self._stop.reason

    def raise_if_stopped(self) -> None:
        """Return if the job may go on. Cheap enough to call for every item.

        Coroutine handlers do not need it: they get an :class:`asyncio.CancelledError` where they
        await.

        :raises JobStopped: the job should stop, for any :class:`StopReason`. Clean up and let the
            exception pass: that confirms the stop
        """
        self._stop.check()

    def sleep(self, duration: Duration) -> None:
        """Sleep, but no longer than the job may go on. Coroutine handlers use ``asyncio.sleep``.

        :param duration: a timedelta, or seconds
        :raises JobStopped: the job should stop
        """
        self._stop.wait(in_seconds(duration))

    def progress(
        self,
        completed: SupportsFloat | SupportsIndex,
        *,
        total: SupportsFloat | SupportsIndex | None = None,
        unit: str | None = None,
        message: str | None = None,
    ) -> None:
        """Report how far the job is; the Airflow task's log shows it.

        Cheap enough to call for every item: at most two events a second are published, each with
        the latest values. Returns at once, whatever Kafka does.

        Numbers may be of any type that has ``__float__`` or ``__index__``: ``Decimal``, numpy's.
        Values that are not finite numbers are left out; the worker logs that once for each job.

        :param completed: how much is done
        :param total: how much there is to do, where that is known
        :param unit: what is counted, for example ``"files"``
        :param message: what the job does now, in a few words
        """
        if self._may_report():
            self._events.progress(completed, total, unit, message)

    def message(self, text: str) -> None:
        """Report what the job does now, in a few words; the Airflow task's log shows it.

        At most two events a second are published, each with the latest text. A text is cut after
        2,000 bytes. Returns at once.
        """
        if self._may_report():
            self._events.message(text)

    def _may_report(self) -> bool:
        """Tell whether this is the worker's process, not a child that the handler forked."""
        if self._made_in == generation():
            return True
        self._events.complain("child", "reports of a forked child process are not sent")
        return False

    @property
    def external_id(self) -> str | None:
        """The id of the job in the system that does the work; None until it is set.

        When a job is delivered again, this is the id that the delivery before has set: the work
        has begun, and the handler may find it there.
        """
        return self._events.external_id

    def set_external_id(self, name: str) -> None:
        """Publish the id of the job in the system that does the work.

        It is sent at once, and every later event repeats it: for people, for other systems, and for
        the worker that continues the job if this one dies.

        :param name: for example the number of a batch job, or of a row, as text. It is cut after
            2,000 bytes, and then another delivery cannot find the work by it
        :raises InvalidMessage: it is not text
        """
        if self._may_report():
            self._events.set_external_id(name)

    @property
    def checkpoint(self) -> Any:
        """What :meth:`save_checkpoint` saved last, as JSON gives it back; None if nothing.

        When a job is delivered again, this is what the delivery before has saved: continue there.
        A new submission of the task is another job and begins without. What another worker has
        written and is not JSON is None, and the worker logs that.
        """
        text = self._events.checkpoint
        if text is None:
            return None
        try:
            return checkpoints.from_text(text)
        except ValueError as error:
            fault = f"the checkpoint of an earlier delivery is ignored: it is not JSON: {error}"
            self._events.complain("checkpoint", fault)
            return None

    def save_checkpoint(self, value: Any) -> None:
        """Save how far the job is, for the delivery that continues it if this worker stops or dies.

        Save what is done, after it is done: if the worker dies before the brokers have the
        checkpoint, the next delivery gets the one before and repeats a little work, and never
        leaves any out. The task's log does not show checkpoints.

        Cheap enough to call for every item: at most four events a second are published, each with
        the latest value; the first at once. Returns at once, whatever Kafka does.

        :param value: a small JSON value, a pydantic model or a dataclass, of at most 4,000 bytes
            as JSON. None clears the checkpoint
        :raises ApplicationError: it has no JSON form (``checkpoint_not_serialisable``), or is too
            large (``checkpoint_too_large``). The checkpoint before is kept
        """
        text = checkpoints.to_text(value)
        if self._may_report():
            self._events.save_checkpoint(text)
