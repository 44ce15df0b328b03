"""Where handlers run: on threads of their own, or as tasks of one event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  imported later, while a handler forks, it breaks
import contextlib
import functools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import Context
from queue import SimpleQueue

from kafka_bridge.worker.logs import job_fields
from kafka_bridge.worker.runtime.job_run import JobRun

_log = logging.getLogger(__name__)

LOOP_STOP_SECONDS = 1.0


class Executor:
    """Runs jobs, at most so many at a time; others wait their turn in the order they came.

    A thread that has done a job goes on with the next one that waits; to hand each to a thread
    would cost more than many jobs do. Each job runs in a fresh context (:mod:`contextvars`): what
    one binds, the next one on that thread does not see.

    None is started while the worker may not speak for it: a process that was frozen would begin, as
    it thaws, what others have done meanwhile.

    :param concurrency: how many handlers run at a time, sync and async together
    :param ended: called on any thread when a handler has ended, however it did
    """

    def __init__(
        self,
        concurrency: int,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[JobRun], None],
    ) -> None:
        self.running = 0
        self.started = 0
        self._concurrency = concurrency
        self._loop = loop
        self._ended = ended
        self._waiting: deque[JobRun] = deque()
        self._lock = threading.Lock()
        self._all_begun = threading.Condition(self._lock)
        self._idle_threads = 0
        self._for_idle_threads: SimpleQueue[JobRun] = SimpleQueue()

    def submit(self, job: JobRun) -> None:
        """Take a job in, to be run by :meth:`start_waiting` as soon as there is room."""
        with self._lock:
            self._waiting.append(job)

    def start_waiting(self) -> None:
        """Start the jobs that wait, as far as there is room and they may be started.

        Those that are to stop end here and now: their end needs no room.
        """
        for stopped in self._stopped():
            self._run(stopped)
        while (job := self._next()) is not None:
            with self._lock:
                is_idle = self._idle_threads > 0
                self._idle_threads -= is_idle
            if is_idle:
                self._for_idle_threads.put(job)
            else:
                # Daemon threads: a handler that never returns must not keep the process alive.
                threading.Thread(
                    target=self._work, args=(job,), name="kafka-bridge-job", daemon=True
                ).start()

    def _stopped(self) -> list[JobRun]:
        with self._lock:
            stopped = [job for job in self._waiting if job.stop.reason is not None]
            for job in stopped:
                self._waiting.remove(job)
            self.running += len(stopped)
        return stopped

    def _next(self) -> JobRun | None:
        """Start the coroutines whose turn it is, and return the first job that wants a thread."""
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
            if not job.handler.is_async:
                return job
            future = Context().run(asyncio.run_coroutine_threadsafe, job.run_async(), self._loop)
            future.add_done_callback(functools.partial(self._end_async, job))

    def give_way(self, seconds: float) -> None:
        """Wait until every job has begun, but no longer than so many seconds.

        Quick jobs that wait for their turn need the interpreter more than who brings new ones: to
        share it between threads costs much more than to have it in turn.
        """
        with self._lock:
            self._all_begun.wait_for(lambda: not self._waiting, seconds)

    def _work(self, job: JobRun) -> None:
        while True:
            self._run(job)
            job = self._next() or self._wait_for_job()

    def _run(self, job: JobRun) -> None:
        failure: BaseException | None = None
        try:
            Context().run(job.run)
        except BaseException as error:
            failure = error
        self._end(job, failure)

    def _wait_for_job(self) -> JobRun:
        with self._lock:
            self._idle_threads += 1
        return self._for_idle_threads.get()

    def _end_async(self, job: JobRun, done: Future[None]) -> None:
        self._end(job, done.exception())
        self.start_waiting()

    def _end(self, job: JobRun, failure: BaseException | None) -> None:
        if failure is not None:
            _log.error(
                "The end of job %s could not be said",
                job,
                exc_info=failure,
                extra=job_fields(job.request),
            )
            job.settled(failure)
        with self._lock:
            self.running -= 1
        self._ended(job)


@contextlib.contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop on a thread of its own, for handlers that are coroutines."""
    loop = asyncio.new_event_loop()
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            # asyncio lets these two through where a task of a handler's own raises them.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()

    thread = threading.Thread(target=run, name="kafka-bridge-async", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        stopping.set()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LOOP_STOP_SECONDS)
        if not thread.is_alive():  # else a handler blocks it, and that must not hold up the end
            loop.close()
