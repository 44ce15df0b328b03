"""One job from the moment a worker has its request until its end is on record."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.errors import PayloadNotSerialisable, RecordTooLarge
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobRequest, JobState
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.errors import failure, failure_of
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.heartbeats import Heartbeats
from kafka_bridge.worker.reporter import JobReporter

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobRun:
    """Runs one job on the calling thread; coroutine handlers run on ``loop``."""

    request: JobRequest
    handler: Handler | None
    reporter: JobReporter
    heartbeats: Heartbeats
    loop: asyncio.AbstractEventLoop

    def run(self) -> None:
        """Accept the job, do it, and return once its terminal event is acknowledged.

        :raises KafkaError: the response topic cannot be written, so nobody will hear of the job
        """
        self.reporter.accepted()
        with self.heartbeats.of(self.reporter):
            try:
                outcome = self._succeed(self._work())
            except BaseException as error:
                # SystemExit too: a handler that calls sys.exit() ends its job, not the worker.
                outcome = self._fail(error)
            self._finish(outcome)

    def _work(self) -> Any:
        if self.handler is None:
            raise _UnknownJobType(self.request.job_type)
        context = JobContext(self.request, self.reporter)
        called = self.handler.function(context, *self.handler.arguments(self.request))
        if self.handler.is_async:
            return asyncio.run_coroutine_threadsafe(called, self.loop).result()
        return called

    def _succeed(self, value: Any) -> dict[str, Any]:
        result, result_type = to_bytes(value, "result")
        return {"state": JobState.SUCCEEDED, "result": result, "result_type": result_type}

    def _fail(self, error: BaseException) -> dict[str, Any]:
        reason = _reason(error)
        _log.warning(
            "Job %s (%s) failed: %s: %s",
            self.request.correlation_id,
            self.request.job_type,
            reason.type,
            reason.message,
        )
        return {"state": JobState.FAILED, "error": reason}

    def _finish(self, outcome: dict[str, Any]) -> None:
        try:
            self.reporter.finished(**outcome)
        except RecordTooLarge as error:
            reason = failure("result_too_large", str(error), retryable=False)
            self.reporter.finished(JobState.FAILED, error=reason)


class _UnknownJobType(Exception):
    pass


def _reason(error: BaseException) -> JobFailure:
    if isinstance(error, _UnknownJobType):
        return failure(
            ErrorType.UNKNOWN_JOB_TYPE,
            f"this worker has no handler for job type {str(error)!r}: is the request on the right "
            "topic, and is the worker up to date?",
            retryable=False,
        )
    if isinstance(error, PayloadNotSerialisable):
        return failure("result_not_serialisable", str(error), retryable=False)
    return failure_of(error)
