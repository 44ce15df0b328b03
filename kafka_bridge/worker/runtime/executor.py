"""Runs handlers: on threads of their own, or as tasks of one event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  imported later, while a handler forks, it breaks
import functools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from queue import SimpleQueue
from typing import TypeAlias

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.worker.logs import job_fields
from kafka_bridge.worker.runtime.batch_run import run_batch, run_batch_async
from kafka_bridge.worker.runtime.gathering import Gathering
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.job_run import fail_to_end, run, run_async
from kafka_bridge.worker.runtime.surroundings import Surroundings

_thread_log = bounded_logger(f"{__name__}.threads")

Call: TypeAlias = list[InFlightJob]
"""What one call of a handler is for: one job, or the jobs of a batch."""


class Executor:
    """Runs jobs, with a limit; the others wait in the order in which they came.

    A thread that has finished a job goes on with the next one: to pass each job to a thread would
    cost more than many jobs do. Each job runs in a fresh context (:mod:`contextvars`): the next job
    on that thread does not see what one binds.

    No job is started while its events may not be published: a process that was frozen would begin
    what other workers have finished meanwhile.

    :param concurrency: how many calls of handlers run at a time, sync and async together
    :param ended: called on any thread when a handler has ended, in whatever way
    :ivar running: how many jobs run
    :ivar started: how many calls were started
    """

    def __init__(
        self,
        concurrency: int,
        surroundings: Surroundings,
        ended: Callable[[InFlightJob], None] = lambda _: None,
    ) -> None:
        self.running = 0
        self.started = 0
        self._calls = 0
        self._concurrency = concurrency
        self._surroundings = surroundings
        self.ended = ended
        self._waiting: deque[InFlightJob] = deque()
        self._gathering = Gathering(self._wake)
        self._lock = threading.Lock()
        self._all_begun = threading.Condition(self._lock)
        self._idle_threads = 0
        self._for_idle_threads: SimpleQueue[Call] = SimpleQueue()

    def submit(self, job: InFlightJob) -> None:
        """Add a job; :meth:`start_waiting` runs it, or its batch, as soon as there is room."""
        with self._lock:
            if job.handler.batching is None:
                self._waiting.append(job)
            else:
                self._gathering.add(job)

    def _wake(self, seconds: float) -> None:
        loop = self._surroundings.loop
        loop.call_soon_threadsafe(loop.call_later, seconds, self.start_waiting)

    def start_waiting(self) -> None:
        """Start the waiting jobs for which there is room, and which may be started.

        Jobs that have to stop end here and now: that needs no room. If the system has no thread to
        spare, the job waits on: whatever calls this next tries again.
        """
        for stopped in self._stopped():
            self._run([stopped])
        while call := self._next():
            with self._lock:
                is_idle = self._idle_threads > 0
                self._idle_threads -= is_idle
            if not is_idle and not self._start_thread(call):
                return
            self._for_idle_threads.put(call)

    def _start_thread(self, call: Call) -> bool:
        # Daemon threads: a handler that never returns must not keep the process alive.
        thread = threading.Thread(target=self._work, name="kafka-bridge-job", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                self._put_back(call)
            _thread_log.error(
                "Starting a thread for job %s failed: %s; retrying. Raise the process's limit of "
                "threads (ulimit -u, the pids limit of the container), or lower the concurrency",
                call[0],
                error,
                extra=job_fields(call[0].request),
            )
            return False
        return True

    def _put_back(self, call: Call) -> None:
        if _is_batch(call):
            self._gathering.put_back(call)
        else:
            self._waiting.appendleft(call[0])
        self._count(call, -1)
        self.started -= 1

    def _stopped(self) -> list[InFlightJob]:
        with self._lock:
            stopped = [job for job in self._waiting if job.stop.reason is not None]
            for job in stopped:
                self._waiting.remove(job)
            stopped += self._gathering.stopped()
            for job in stopped:
                self._count([job], 1)
        return stopped

    def _next(self) -> Call:
        """Start the coroutines that are next, and return the first call that needs a thread."""
        while True:
            with self._lock:
                if self._calls >= self._concurrency:
                    return []
                call = self._gathering.next() or self._next_job()
                if not call:
                    return []
                self._count(call, 1)
                self.started += 1
                if not self._waiting:
                    self._all_begun.notify_all()
            if self._surroundings.needs_thread(call[0].handler):
                return call
            self._start_coroutine(call)

    def _count(self, call: Call, change: int) -> None:
        self._calls += change
        self.running += change * len(call)

    def _next_job(self) -> Call:
        job = next((each for each in self._waiting if each.may_start()), None)
        if job is None:
            return []
        self._waiting.remove(job)  # the first one, as a rule
        return [job]

    def _start_coroutine(self, call: Call) -> None:
        if _is_batch(call):
            coroutine = run_batch_async(call, self._surroundings)
        else:
            coroutine = run_async(call[0], self._surroundings)
        loop = self._surroundings.loop
        future = Context().run(asyncio.run_coroutine_threadsafe, coroutine, loop)
        future.add_done_callback(functools.partial(self._end_async, call))

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

    def _run_from(self, first: Call) -> None:
        call = first
        del first
        while call:
            self._run(call)
            call = self._next()

    def _run(self, call: Call) -> None:
        failure: BaseException | None = None
        try:
            if _is_batch(call):
                Context().run(run_batch, call, self._surroundings)
            else:
                Context().run(run, call[0], self._surroundings)
        except BaseException as error:
            failure = error
        self._end(call, failure)

    def _end_async(self, call: Call, done: Future[None]) -> None:
        self._end(call, done.exception())
        self.start_waiting()

    def _end(self, call: Call, failure: BaseException | None) -> None:
        if failure is not None:
            for job in call:
                fail_to_end(job, failure)
        with self._lock:
            self._count(call, -1)
            if _is_batch(call):
                self._gathering.ended(call[0])
        for job in call:
            self.ended(job)


def _is_batch(call: Call) -> bool:
    return call[0].handler.batching is not None
