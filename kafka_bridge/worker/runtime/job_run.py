"""One delivery of a job: from its acceptance until its end is on record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.errors import PayloadNotSerialisable
from kafka_bridge.protocol.messages import (
    ErrorType,
    JobFailure,
    JobRequest,
    JobState,
    utc_now,
)
from kafka_bridge.worker.cancellation import JobStopped, StopReason, StopSignal
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.errors import errors_in, failure, failure_of, is_stop
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.logs import job_logging
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime import children
from kafka_bridge.worker.runtime.expiry import too_late
from kafka_bridge.worker.runtime.reporter import JobReporter, Settled

DOUBT_SECONDS = 0.05
"""How often a job whose turn has come looks whether the worker may speak again."""


@dataclass(slots=True, eq=False)
class JobRun:
    """A job in this worker's hands.

    ``settled`` is called once its end is on record, with None, or with the reason why it never will
    be; never for a job that was released or lost.
    """

    request: JobRequest
    handler: Handler
    reporter: JobReporter
    observer: Observer
    settled: Settled
    stop: StopSignal = field(default_factory=StopSignal)
    began: float | None = None

    def may_start(self) -> bool:
        """Tell whether the worker may speak for the job, or the job is to end without a start.

        Asked by who chooses the next job, and again where it is about to begin: between the two, a
        thread has to wake up, and the process may have been frozen for longer than its session.
        """
        return self.stop.reason is not None or self.reporter.may_publish()

    def run(self) -> None:
        """Do the job on this thread."""
        with job_logging(self.request):
            try:
                while not self.may_start():
                    self.stop.wait(DOUBT_SECONDS)
                outcome = self._begin() or self._succeed(self._call())
            except BaseException as error:
                # SystemExit too: a handler that calls sys.exit() ends its job, not the worker.
                outcome = self._end_by(error)
            self._finish(outcome)

    async def run_async(self) -> None:
        """Do the job as a task of the event loop, which is cancelled when the job should stop."""
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert task is not None  # noqa: S101

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        self.stop.listen(cancel)
        with job_logging(self.request):
            try:
                while not self.may_start():  # noqa: ASYNC110  the polling thread changes it
                    await asyncio.sleep(DOUBT_SECONDS)
                outcome = self._begin() or self._succeed(await self._call_async())
            except BaseException as error:
                outcome = self._end_by(error)
            self._finish(outcome)

    def _begin(self) -> dict[str, Any] | None:
        """Begin the job; return how it ends where its time ran out while it waited for its turn."""
        self.began = time.monotonic()
        self.stop.check()
        if (late := too_late(self.request, utc_now())) is not None:
            return {"state": JobState.FAILED, "error": late}
        self.observer.job_log.started(self.request, self.reporter.delivery)
        return None

    @property
    def seconds(self) -> float:
        """How long ago its turn came; 0 before that."""
        return 0.0 if self.began is None else time.monotonic() - self.began

    def _call(self) -> Any:
        context, arguments = self._context(), self._arguments()

        def call() -> Any:
            with children.ending():
                return self.handler.collected(self.handler.function(context, *arguments))

        return self.handler.retry.call(call, self.stop.wait, self._tell_of_retry)

    async def _call_async(self) -> Any:
        context, arguments = self._context(), self._arguments()

        async def call() -> Any:
            with children.ending():
                return self.handler.collected(await self.handler.function(context, *arguments))

        return await self.handler.retry.call_async(call, self._tell_of_retry)

    def _context(self) -> JobContext:
        return JobContext(self.request, self.reporter, self.stop)

    def _arguments(self) -> tuple[Any, ...]:
        return self.handler.arguments(self.request)

    def _tell_of_retry(self, attempt: int, error: BaseException, seconds: float) -> None:
        self.observer.retried(self.request.job_type)
        reason = failure_of(error, self.handler.retry.non_retryable_errors)
        self.reporter.say(
            f"Try {attempt} of {self.handler.retry.retries + 1} failed: {reason.type}: "
            f"{reason.message}; the next one is in {seconds:.1f} s"
        )

    def tick(self) -> None:
        """Stop the job where its deadline has passed; send what is due."""
        deadline = self.request.deadline
        if deadline is not None and self.stop.reason is None and time.time() > deadline.timestamp():
            self.ask_to_stop(
                StopReason.DEADLINE, f"its deadline, {deadline.isoformat()}, has passed"
            )
        self.reporter.tick()

    def ask_to_stop(self, reason: StopReason, message: str) -> None:
        """Ask the handler to stop; until it does, heartbeats say that it has not."""
        if not self.reporter.has_ended:
            self.reporter.note = f"Asked to stop ({reason}: {message}), but still running"
        self.stop.set(reason, message)

    def release(self, message: str, settled: Settled) -> bool:
        """Hand the job back and ask its handler to stop; False where its end is on its way."""
        released = self.reporter.released(message, settled)
        if released:
            self.stop.set(StopReason.RELEASED, message)
            if self.began is not None:
                log = self.observer.job_log
                log.ended(self.request, JobState.RELEASED, self.seconds, message)
        return released

    def _succeed(self, value: Any) -> dict[str, Any]:
        result, result_type = to_bytes(value, "result")
        outcome = {"state": JobState.SUCCEEDED, "result": result, "result_type": result_type}
        return outcome | self._stop_requested()

    def _end_by(self, error: BaseException) -> dict[str, Any]:
        if self.stop.reason is not None and is_stop(error):
            return _stopped(self.stop, error)
        reason = self._reason(error)
        return {"state": JobState.FAILED, "error": reason} | self._stop_requested()

    def _reason(self, error: BaseException) -> JobFailure:
        if isinstance(error, PayloadNotSerialisable):
            return failure("result_not_serialisable", str(error), retryable=False)
        return failure_of(error, self.handler.retry.non_retryable_errors)

    def _stop_requested(self) -> dict[str, Any]:
        """Return what the end of a job says that was asked to stop and ended another way."""
        if self.stop.reason is None:
            return {}
        return {"attributes": {"stop_requested": self.stop.reason.value}}

    def _finish(self, outcome: dict[str, Any]) -> None:
        settled = partial(self._settled, self.seconds, reason_of(outcome))
        self.reporter.finished(settled=settled, **outcome)

    def _settled(
        self, seconds: float, reason: str | None, state: JobState, error: BaseException | None
    ) -> None:
        if error is None:
            self.observer.ended(self.request.job_type, state, seconds)
            self.observer.job_log.ended(self.request, state, seconds, reason)
        self.settled(error)

    def __str__(self) -> str:
        return f"{self.request.correlation_id} ({self.request.job_type})"


def reason_of(facts: Mapping[str, Any]) -> str | None:
    """Return why a job ended as it did, from the facts of its last event."""
    error: JobFailure | None = facts.get("error")
    return facts.get("message") if error is None else f"{error.type}: {error.message}"


def _stopped(stop: StopSignal, error: BaseException) -> dict[str, Any]:
    """Return the end of a job that stopped when asked to, in the handler's words if it has some."""
    words = (str(each) for each in errors_in(error) if isinstance(each, JobStopped))
    message = next(words, stop.message)
    if stop.reason is StopReason.DEADLINE:
        reason = failure(ErrorType.DEADLINE_EXCEEDED, f"stopped: {message}", retryable=True)
        return {"state": JobState.FAILED, "error": reason}
    return {"state": JobState.CANCELLED, "message": message}
