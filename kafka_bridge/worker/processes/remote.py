"""Runs the job of a handler with ``process=True`` in a child process, and follows it from here."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from kafka_bridge.payloads import Encoded
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.cancellation import JobStopped, StopSignal
from kafka_bridge.worker.context import JobEvents
from kafka_bridge.worker.errors import ApplicationError
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.processes.ends import in_mib
from kafka_bridge.worker.processes.messages import (
    Failed,
    Logged,
    Named,
    Reported,
    Retried,
    RunJob,
    Saved,
    StopJob,
    Stopped,
    Succeeded,
)
from kafka_bridge.worker.processes.pool import Pool
from kafka_bridge.worker.processes.process import ChildProcess, NotStarted
from kafka_bridge.worker.runtime.calls import NoteRetry
from kafka_bridge.worker.runtime.job_lines import JobLines

LOOK_SECONDS = 0.1
"""How often a process is looked at: whether it lives, its memory, and whether it must be killed."""

_numbers = itertools.count(1)


class OwnedEvents(JobEvents, Protocol):
    """The events of a job that this worker may lose.

    :ivar lines: what the job logs, if that is forwarded
    """

    lines: JobLines | None

    @property
    def may_publish(self) -> Callable[[], bool]:
        """Tells whether events of the job may be published now."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Runs the jobs of handlers in the processes of a pool.

    :param kill_after: seconds from a stop request until the process is killed, unless the handler
        says otherwise
    """

    pool: Pool
    kill_after: float

    def handler(self, handler: Handler) -> Handler:
        """Return a handler that has its jobs run in a process."""
        most = self.pool.limits.processes
        return replace(
            handler,
            is_async=False,
            concurrency=min(handler.concurrency or most, most),
            elsewhere=self.run,
        )

    def run(
        self,
        handler: Handler,
        request: JobRequest,
        events: OwnedEvents,
        stop: StopSignal,
        note_retry: NoteRetry,
    ) -> Encoded:
        """Run a job in a process; return its result.

        A process may have to be started first. If this worker was frozen meanwhile, another one may
        have done the job: the handler is called only when its events may be published.

        :raises ApplicationError: the handler failed, or its process died
        :raises JobStopped: the job stopped as asked, or its process was killed for that
        """
        kill_after = self.kill_after if handler.kill_after is None else handler.kill_after
        try:
            with self.pool.process(stop.check) as process:
                while not events.may_publish():
                    stop.wait(LOOK_SECONDS)
                work = _Work(process, events, stop, note_retry, kill_after)
                return work.run(request, handler.forward_logs, self.pool.limits.most_memory)
        except NotStarted as error:
            raise ApplicationError(str(error), type="process_not_started", details="") from None


@dataclass(slots=True)
class _Work:
    """One job and its process."""

    process: ChildProcess
    events: OwnedEvents
    stop: StopSignal
    note_retry: NoteRetry
    kill_after: float
    kill_at: float | None = None

    def run(
        self, request: JobRequest, forward_logs: str | None, most_memory: int | None
    ) -> Encoded:
        """Have the process do the job; return its result."""
        number = next(_numbers)
        events, process, stop = self.events, self.process, self.stop

        def pass_on() -> None:
            assert stop.reason is not None  # noqa: S101
            process.send(StopJob(number, stop.reason, stop.message))

        process.send(
            RunJob(
                number,
                request,
                events.request_headers,
                events.delivery,
                events.external_id,
                events.checkpoint,
                forward_logs,
            )
        )
        stop.listen(pass_on)
        while True:
            message = process.receive(LOOK_SECONDS)
            if message is None and process.has_ended():
                message = process.receive(0)  # what it said last
                if message is None:
                    raise self._died()
            match message:
                case Succeeded(data, media_type):
                    return Encoded(data, media_type)
                case Failed(failure):
                    raise ApplicationError(
                        failure.message,
                        type=failure.type,
                        details=failure.details or "",
                        retryable=failure.retryable,
                    )
                case Stopped(words):
                    assert stop.reason is not None  # noqa: S101
                    raise JobStopped(stop.reason, words)
                case _:
                    self._pass_on_report(message)
            self._kill_if_due()
            self._kill_if_too_large(most_memory)

    def _pass_on_report(self, message: Any) -> None:
        match message:
            case Reported(progress, text) if progress is not None:
                self.events.progress(progress.completed, progress.total, progress.unit, text)
            case Reported(_, text) if text is not None:
                self.events.message(text)
            case Logged(lines, tail) if self.events.lines is not None:
                self.events.lines.take(lines, tail)
            case Named(name):
                self.events.set_external_id(name)
            case Saved(text):
                self.events.save_checkpoint(text)
            case Retried(attempt, failure, seconds):
                self.note_retry(attempt, failure, seconds)

    def _died(self) -> Exception:
        return ApplicationError(
            f"the process of the handler {self.process.end}", type="process_died", details=""
        )

    def _kill_if_due(self) -> None:
        """Kill a process whose handler has not stopped in time.

        :raises JobStopped: it was killed
        """
        reason, now = self.stop.reason, time.monotonic()
        if reason is None:
            return
        if self.kill_at is None:
            self.kill_at = now + self.kill_after
        if now >= self.kill_at:
            self.process.kill()
            raise JobStopped(
                reason,
                f"{self.stop.message}; the handler did not stop within {self.kill_after:g} s, and "
                "its process was killed",
            )

    def _kill_if_too_large(self, most_memory: int | None) -> None:
        """Kill a process that holds too much memory.

        :raises ApplicationError: it was killed
        """
        if most_memory is None or (size := self.process.memory()) <= most_memory:
            return
        self.process.kill()
        raise ApplicationError(
            f"the process of the handler was killed: it held {in_mib(size)} of memory, and "
            f"max_memory_per_process is {in_mib(most_memory)}",
            type="memory_limit_exceeded",
            details="",
        )


def in_processes(handlers: Mapping[str, Handler], remote: Remote) -> dict[str, Handler]:
    """Return handlers of which those with ``process=True`` run in processes."""
    return {
        name: remote.handler(each) if each.in_process else each for name, each in handlers.items()
    }
