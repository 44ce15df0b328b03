"""Runs handlers: on threads of their own, or as tasks of one event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  imported later, while a handler forks, it breaks
import functools
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from queue import SimpleQueue

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.worker.logs import job_fields
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.job_run import run, run_async
from kafka_bridge.worker.runtime.surroundings import Surroundings

_log = logging.getLogger(__name__)
_thread_log = bounded_logger(f"{__name__}.threads")


class Executor:
    """Runs jobs, with a limit; the others wait in the order in which they came.

    A thread that has finished a job goes on with the next one: to pass each job to a thread would
    cost more than many jobs do. Each job runs in a fresh context (:mod:`contextvars`): the next job
    on that thread does not see what one binds.

    No job is started while its events may not be published: a process that was frozen would begin
    what other workers have finished meanwhile.

    :param concurrency: how many handlers run at a time, sync and async together
    :param ended: called on any thread when a handler has ended, in whatever way
    """

    def __init__(
        self,
        concurrency: int,
        surroundings: Surroundings,
        ended: Callable[[InFlightJob], None] = lambda _: None,
    ) -> None:
        self.running = 0
        self.started = 0
        self._concurrency = concurrency
        self._surroundings = surroundings
        self.ended = ended
        self._waiting: deque[InFlightJob] = deque()
        self._lock = threading.Lock()
        self._all_begun = threading.Condition(self._lock)
        self._idle_threads = 0
        self._for_idle_threads: SimpleQueue[InFlightJob] = SimpleQueue()

    def submit(self, job: InFlightJob) -> None:
        """Add a job; :meth:`start_waiting` runs it as soon as there is room."""
        with self._lock:
            self._waiting.append(job)

    def start_waiting(self) -> None:
        """Start the waiting jobs for which there is room, and which may be started.

        Jobs that have to stop end here and now: that needs no room. If the system has no thread to
        spare, the job waits on: whatever calls this next tries again.
        """
        for stopped in self._stopped():
            self._run(stopped)
        while (job := self._next()) is not None:
            with self._lock:
                is_idle = self._idle_threads > 0
                self._idle_threads -= is_idle
            if not is_idle and not self._start_thread(job):
                return
            self._for_idle_threads.put(job)

    def _start_thread(self, job: InFlightJob) -> bool:
        # Daemon threads: a handler that never returns must not keep the process alive.
        thread = threading.Thread(target=self._work, name="kafka-bridge-job", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                self._waiting.appendleft(job)
                self.running -= 1
                self.started -= 1
            _thread_log.error(
                "Starting a thread for job %s failed: %s; retrying. Raise the process's limit of "
                "threads (ulimit -u, the pids limit of the container), or lower the concurrency",
                job,
                error,
                extra=job_fields(job.request),
            )
            return False
        return True

    def _stopped(self) -> list[InFlightJob]:
        with self._lock:
            stopped = [job for job in self._waiting if job.stop.reason is not None]
            for job in stopped:
                self._waiting.remove(job)
            self.running += len(stopped)
        return stopped

    def _next(self) -> InFlightJob | None:
        """Start the coroutines that are next, and return the first job that needs a thread."""
        while True:
            with self._lock:
                if self.running >= self._concurrency:
                    return None
                job = next((each for each in self._waiting if each.may_start()), None)
                if job is None:
                    return None
                self._waiting.remove(job)  # the first one, as a rule
                self.running += 1
                self.started += 1
                if not self._waiting:
                    self._all_begun.notify_all()
            if self._surroundings.needs_thread(job.handler):
                return job
            coroutine = run_async(job, self._surroundings)
            loop = self._surroundings.loop
            future = Context().run(asyncio.run_coroutine_threadsafe, coroutine, loop)
            future.add_done_callback(functools.partial(self._end_async, job))

    def give_way(self, seconds: float) -> None:
        """Wait until every job has begun, or the time is over.

        Quick jobs need the interpreter more than the polling thread, which brings new ones: to
        share it between threads costs much more than to take turns.
        """
        with self._lock:
            self._all_begun.wait_for(lambda: not self._waiting, seconds)

    def _work(self) -> None:
        while True:  # without a name for the job: a thread that waits keeps none alive
            self._run_from(self._for_idle_threads.get())
            with self._lock:
                self._idle_threads += 1

    def _run_from(self, first: InFlightJob) -> None:
        job: InFlightJob | None = first
        del first
        while job is not None:
            self._run(job)
            job = self._next()

    def _run(self, job: InFlightJob) -> None:
        failure: BaseException | None = None
        try:
            Context().run(run, job, self._surroundings)
        except BaseException as error:
            failure = error
        self._end(job, failure)

    def _end_async(self, job: InFlightJob, done: Future[None]) -> None:
        self._end(job, done.exception())
        self.start_waiting()

    def _end(self, job: InFlightJob, failure: BaseException | None) -> None:
        if failure is not None:
            _log.error(
                "Publishing the terminal event of job %s failed",
                job,
                exc_info=failure,
                extra=job_fields(job.request),
            )
            job.fail_to_end(failure)
        with self._lock:
            self.running -= 1
        self.ended(job)
