"""Runs the handler of one job, on a thread or on the event loop, and ends the job."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobState, utc_now
from kafka_bridge.protocol.sanitize import block
from kafka_bridge.worker.cancellation import JobStopped, StopReason, StopSignal
from kafka_bridge.worker.errors import failure, is_stop
from kafka_bridge.worker.logs import job_fields, job_logging
from kafka_bridge.worker.runtime.calls import (
    call_async_handler,
    call_handler,
    failure_in,
    stop_message,
)
from kafka_bridge.worker.runtime.expiry import too_late
from kafka_bridge.worker.runtime.in_flight import InFlightJob, Outcome
from kafka_bridge.worker.runtime.job_lines import INDENT, JobLines
from kafka_bridge.worker.runtime.log_capture import capture
from kafka_bridge.worker.runtime.surroundings import Surroundings
from kafka_bridge.worker.runtime.time_limits import TIME_LIMIT_EXCEEDED

_log = logging.getLogger(__name__)

DOUBT_SECONDS = 0.05
"""How often a job that has a thread checks whether its events may be published again."""


def run(job: InFlightJob, surroundings: Surroundings) -> None:
    """Run a job on this thread, from READY to ENDING."""
    with job_logging(job.request):
        _capture(job)
        try:
            wait_until_certain(job)
            outcome = begin(job) or succeeded(job, _call(job, surroundings))
        except BaseException as error:
            # SystemExit too: a handler that calls sys.exit() ends its job, not the worker.
            outcome = failed(job, error)
        job.end(_with_last_lines(job, outcome))


async def run_async(job: InFlightJob, surroundings: Surroundings) -> None:
    """Run a job as a task of the event loop, which is cancelled when the job has to stop."""
    cancel_this_task_on(job.stop)
    with job_logging(job.request):
        _capture(job)
        try:
            await wait_until_certain_async(job)
            outcome = begin(job) or succeeded(job, await _call_async(job, surroundings))
        except BaseException as error:
            outcome = failed(job, error)
        job.end(_with_last_lines(job, outcome))


def cancel_this_task_on(stop: StopSignal) -> None:
    """Have the present task cancelled when this is set."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    assert task is not None  # noqa: S101

    def cancel() -> None:
        loop.call_soon_threadsafe(task.cancel)

    stop.listen(cancel)


def _capture(job: InFlightJob) -> None:
    """Have what is logged in this context forwarded, if the handler says so."""
    job.reporter.lines = JobLines.at(job.handler.forward_logs)
    capture(job.reporter.lines)


def _with_last_lines(job: InFlightJob, outcome: Outcome) -> Outcome:
    """Add the last log lines of a failed job to its error, if they are forwarded."""
    error: JobFailure | None = outcome.facts.get("error")
    lines = job.reporter.lines
    if error is None or lines is None or not (tail := lines.tail()):
        return outcome
    shown = "\n".join(f"{INDENT}{line}" for line in tail)
    before = f"{error.details.rstrip()}\n\n" if error.details else ""
    details = block(f"{before}The last lines that the job logged:\n{shown}")
    return replace(outcome, facts={**outcome.facts, "error": replace(error, details=details)})


def wait_until_certain(job: InFlightJob) -> None:
    """Wait while it is in doubt whether the job is still this worker's.

    :raises JobStopped: it has to stop
    """
    while not job.may_start():
        job.stop.wait(DOUBT_SECONDS)


async def wait_until_certain_async(job: InFlightJob) -> None:
    """Do the same on the event loop."""
    while not job.may_start():  # noqa: ASYNC110  the polling thread changes it
        await asyncio.sleep(DOUBT_SECONDS)


def begin(job: InFlightJob) -> Outcome | None:
    """Begin a job; return its outcome if its time ran out while it waited for a thread.

    :raises JobStopped: it has to stop
    """
    job.stop.check()
    if (late := too_late(job.request, utc_now())) is not None:
        return Outcome(JobState.FAILED, {"error": late})
    if not job.begin():  # another thread has just released or abandoned it
        raise JobStopped(StopReason.LOST, "the job is not this worker's any more")
    return None


def _call(job: InFlightJob, surroundings: Surroundings) -> Any:
    handler = job.handler
    given = (handler, job.request, job.reporter, job.stop, job.note_retry)
    if handler.elsewhere is not None:
        return handler.elsewhere(*given)
    return call_handler(*given, surroundings)


async def _call_async(job: InFlightJob, surroundings: Surroundings) -> Any:
    return await call_async_handler(
        job.handler, job.request, job.reporter, job.stop, job.note_retry, surroundings
    )


def succeeded(job: InFlightJob, value: Any) -> Outcome:
    """Return the outcome of a job with a result.

    :raises PayloadNotSerialisable: the result has no JSON form
    """
    result, result_type = to_bytes(value, "result")
    facts: dict[str, Any] = {"result": result, "result_type": result_type}
    if job.stop.reason is not None:
        facts |= _stop_requested(job.stop)
    return Outcome(JobState.SUCCEEDED, facts)


def failed(job: InFlightJob, error: BaseException) -> Outcome:
    """Return the outcome of a job whose handler has raised an exception, or whose result has."""
    if job.stop.reason is not None and is_stop(error):
        return _stopped(job.stop, error)
    facts = {"error": failure_in(job.handler, error)} | _stop_requested(job.stop)
    return Outcome(JobState.FAILED, facts)


def fail_to_end(job: InFlightJob, error: BaseException) -> None:
    """Note that the terminal event of a job cannot even be made."""
    _log.error(
        "Publishing the terminal event of job %s failed",
        job,
        exc_info=error,
        extra=job_fields(job.request),
    )
    job.fail_to_end(error)


def _stop_requested(stop: StopSignal) -> dict[str, Any]:
    """Return the attributes of a job that was asked to stop and ended another way."""
    if stop.reason is None:
        return {}
    return {"attributes": {"stop_requested": stop.reason.value}}


def _stopped(stop: StopSignal, error: BaseException) -> Outcome:
    """Return the outcome of a job that stopped as asked, with the handler's own message."""
    message = stop_message(error, stop.message)
    if stop.reason is StopReason.DEADLINE:
        reason = failure(ErrorType.DEADLINE_EXCEEDED, f"stopped: {message}", retryable=True)
        return Outcome(JobState.FAILED, {"error": reason})
    if stop.reason is StopReason.TIME_LIMIT:
        reason = failure(TIME_LIMIT_EXCEEDED, f"stopped: {message}", retryable=True)
        return Outcome(JobState.FAILED, {"error": reason})
    return Outcome(JobState.CANCELLED, {"message": message})
