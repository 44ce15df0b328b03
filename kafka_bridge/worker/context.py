"""What a handler knows of its job and can say of it."""

from __future__ import annotations

from kafka_bridge.protocol.messages import JobRequest, Progress
from kafka_bridge.worker.reporter import JobReporter


class JobContext:
    """The job that a handler works on.

    ``request`` is the whole job request; ``correlation_id`` is the idempotency key to pass on to
    systems that the handler calls.
    """

    def __init__(self, request: JobRequest, reporter: JobReporter) -> None:
        self.request = request
        self._reporter = reporter

    @property
    def correlation_id(self) -> str:
        """The job's id: the same for every delivery of the job, another for every new attempt."""
        return self.request.correlation_id

    @property
    def job_type(self) -> str:
        """What is to be done, a dotted name."""
        return self.request.job_type

    @property
    def attempt(self) -> int:
        """How many times the Airflow task has submitted this work, from 1."""
        return self.request.attempt

    def progress(
        self,
        completed: float,
        *,
        total: float | None = None,
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
        :raises InvalidMessage: a number is not finite
        """
        self._reporter.progress(Progress(completed, total, unit), message)
