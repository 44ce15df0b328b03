"""Runs a batch: one call of a handler for several jobs, of which each has an end of its own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kafka_bridge.worker.cancellation import JobStopped, StopReason, StopSignal
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.errors import ApplicationError, failure, is_stop
from kafka_bridge.worker.logs import batch_logging
from kafka_bridge.worker.runtime import children
from kafka_bridge.worker.runtime.calls import failure_in
from kafka_bridge.worker.runtime.in_flight import InFlightJob, Outcome
from kafka_bridge.worker.runtime.invocation import call_here, call_on_loop, in_any_thread
from kafka_bridge.worker.runtime.job_run import (
    begin,
    cancel_this_task_on,
    fail_to_end,
    failed,
    succeeded,
    wait_until_certain,
    wait_until_certain_async,
)
from kafka_bridge.worker.runtime.job_thread import JobThread
from kafka_bridge.worker.runtime.surroundings import Surroundings
from kafka_bridge.worker.signatures import label

INVALID_BATCH_RESULT = "invalid_batch_result"
"""The type of the error of each job if the handler did not return a list of as many items."""


def run_batch(jobs: Sequence[InFlightJob], surroundings: Surroundings) -> None:
    """Run the jobs of a batch on this thread, from READY to ENDING."""
    for job in jobs:
        with contextlib.suppress(JobStopped):
            wait_until_certain(job)
    batch = Batch(jobs, surroundings.state)
    thread = JobThread(surroundings.loop, batch.stop)

    def call() -> Any:
        while batch.leave_out_stopped():
            with batch.going_on_without_stopped(), children.ending():
                return call_here(batch.handler, batch.contexts, batch.arguments, thread)
        return []

    with batch_logging(batch.handler.job_type, len(jobs)):
        try:
            batch.end(batch.handler.retry.call(call, batch.stop.wait, batch.note_retry))
        except BaseException as error:
            batch.fail(error)


async def run_batch_async(jobs: Sequence[InFlightJob], surroundings: Surroundings) -> None:
    """Do the same as a task of the event loop, which is cancelled when all jobs have to stop."""
    for job in jobs:
        await wait_until_certain_async(job)
    batch = Batch(jobs, surroundings.state)
    cancel_this_task_on(batch.stop)

    async def call() -> Any:
        while batch.leave_out_stopped():
            with batch.going_on_without_stopped(), children.ending():
                return await call_on_loop(
                    batch.handler, batch.contexts, batch.arguments, in_any_thread
                )
        return []

    with batch_logging(batch.handler.job_type, len(jobs)):
        try:
            batch.end(await batch.handler.retry.call_async(call, batch.note_retry))
        except BaseException as error:
            batch.fail(error)


@dataclass(frozen=True, slots=True)
class _Member:
    """A job of a batch.

    :param arguments: its payload, or nothing
    """

    job: InFlightJob
    context: JobContext
    arguments: tuple[Any, ...]


class Batch:
    """The jobs of one batch that have begun and have no end yet.

    A job whose time is over, or whose payload is invalid, ends at once: the handler does not get
    it.

    :ivar stop: set when each job that has begun has to stop
    """

    def __init__(self, jobs: Sequence[InFlightJob], state: Any) -> None:
        self.handler = jobs[0].handler
        self._members: list[_Member] = []
        for job in jobs:
            self._begin(job, state)
        self.stop = _set_with_all([each.job.stop for each in self._members])
        if self._members:
            self._members[0].job.note_batch(len(self._members))

    def _begin(self, job: InFlightJob, state: Any) -> None:
        try:
            outcome = begin(job)
            if outcome is None:
                context = JobContext(job.request, job.reporter, job.stop, state)
                arguments = self.handler.arguments(job.request)
                self._members.append(_Member(job, context, arguments))
        except BaseException as error:
            outcome = failed(job, error)
        if outcome is not None:
            _end(job, outcome)

    @property
    def contexts(self) -> list[JobContext]:
        """The first argument of the handler."""
        return [each.context for each in self._members]

    @property
    def arguments(self) -> tuple[list[Any], ...]:
        """The other arguments: the list of payloads, or nothing."""
        if self.handler.payload is None:
            return ()
        return ([payload for each in self._members for payload in each.arguments],)

    def leave_out_stopped(self) -> bool:
        """End the jobs that have to stop; tell whether others are left."""
        self._end_some(
            lambda job: None if job.stop.reason is None else failed(job, _stopped(job.stop))
        )
        return bool(self._members)

    @contextlib.contextmanager
    def going_on_without_stopped(self) -> Iterator[None]:
        """Suppress the exception with which the handler confirms that some of the jobs stop.

        It is called again for the others: one job that is cancelled must not fail them.
        """
        try:
            yield
        except BaseException as error:
            are_some = any(each.job.stop.reason is not None for each in self._members)
            if not (is_stop(error) and are_some):
                raise

    def note_retry(self, attempt: int, error: BaseException, seconds: float) -> None:
        """Publish for each job that the handler failed and is called again after a pause."""
        for each in self._members:
            each.job.note_retry(attempt, failure_in(self.handler, error), seconds)

    def end(self, values: Any) -> None:
        """End each job with its item of what the handler has returned."""
        number = len(self._members)
        if not isinstance(values, list | tuple) or len(values) != number:
            error = self._invalid(values)
            self._end_some(lambda job: failed(job, error))
            return
        items = iter(values)
        self._end_some(lambda job: _outcome(job, next(items)))

    def _invalid(self, values: Any) -> ApplicationError:
        is_list = isinstance(values, list | tuple)
        what = f"a list of {len(values)}" if is_list else f"a {type(values).__name__}"
        return ApplicationError(
            f"the handler of {self.handler.job_type!r}, {label(self.handler.function)}, returned "
            f"{what} for a batch of {len(self._members)} jobs: it must return a list with one item "
            "for each job, in the same order; an exception as an item fails this job alone",
            type=INVALID_BATCH_RESULT,
            details="",
            retryable=False,
        )

    def fail(self, error: BaseException) -> None:
        """End each job with what the handler has raised."""
        number = len(self._members)

        def outcome(job: InFlightJob) -> Outcome:
            if job.stop.reason is not None and is_stop(error):
                return failed(job, _stopped(job.stop))
            return _of_batch(failed(job, error), number)

        self._end_some(outcome)

    def _end_some(self, outcome_of: Callable[[InFlightJob], Outcome | None]) -> None:
        """End the jobs that have an outcome."""
        members, self._members = self._members, []
        for each in members:
            outcome = outcome_of(each.job)
            if outcome is None:
                self._members.append(each)
            else:
                _end(each.job, outcome)


def _outcome(job: InFlightJob, item: Any) -> Outcome:
    if isinstance(item, BaseException):
        return failed(job, item)
    try:
        return succeeded(job, item)
    except BaseException as error:
        return failed(job, error)


def _of_batch(outcome: Outcome, jobs: int) -> Outcome:
    """Say in an error that it was not raised for this job alone."""
    error = outcome.facts["error"]
    if jobs > 1:
        error = failure(
            error.type,
            f"{error.message} (raised for a batch of {jobs} jobs)",
            error.details,
            retryable=error.retryable,
        )
    return replace(outcome, facts={**outcome.facts, "error": error})


def _end(job: InFlightJob, outcome: Outcome) -> None:
    try:
        job.end(outcome)
    except BaseException as error:
        fail_to_end(job, error)


def _stopped(stop: StopSignal) -> JobStopped:
    assert stop.reason is not None  # noqa: S101
    return JobStopped(stop.reason, stop.message)


def _set_with_all(stops: Sequence[StopSignal]) -> StopSignal:
    """Return a signal that is set when all of these are.

    It refers to none of them: a circle would keep finished jobs in memory.
    """
    everyone, numbers, last = StopSignal(), itertools.count(1), len(stops)

    def one_more() -> None:
        if next(numbers) == last:
            everyone.set(StopReason.CANCELLED, "every job of the batch has to stop")

    for each in stops:
        each.listen(one_more)
    return everyone
