"""A child process: it loads the program and runs one job after the other, on its main thread.

Another thread talks to the worker. It passes on stop requests and the latest reports while a
handler works, and ends the process when the worker has gone.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.spawn import prepare
from queue import SimpleQueue
from typing import Any, NoReturn, Protocol

from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.cancellation import StopSignal
from kafka_bridge.worker.errors import is_stop
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.lifespan import Lifespan, StartupFailed
from kafka_bridge.worker.logs import job_logging
from kafka_bridge.worker.middleware import Middleware
from kafka_bridge.worker.processes import role
from kafka_bridge.worker.processes.messages import (
    End,
    Failed,
    NotReady,
    Program,
    Quit,
    Ready,
    RunJob,
    StopJob,
    Stopped,
    Succeeded,
)
from kafka_bridge.worker.processes.reports import REPORT_SECONDS, Reports
from kafka_bridge.worker.runtime.calls import (
    call_async_handler,
    call_handler,
    failure_in,
    stop_message,
)
from kafka_bridge.worker.runtime.event_loop import event_loop
from kafka_bridge.worker.runtime.job_thread import JobThread
from kafka_bridge.worker.runtime.log_capture import capture
from kafka_bridge.worker.runtime.signals import leave_signals_to_parent
from kafka_bridge.worker.runtime.surroundings import Surroundings


def run(connection: Connection) -> None:
    """Load the program that the worker names, and run its jobs until told to end."""
    role.become_child()
    leave_signals_to_parent()
    link = Link(connection)
    program = link.receive()
    assert isinstance(program, Program)  # noqa: S101
    with contextlib.ExitStack() as stack:
        try:
            worker = load(program)
            loop = stack.enter_context(event_loop())
            life = worker.lifespan.entered(worker, loop, ended=lambda: None)
            surroundings = Surroundings(loop, stack.enter_context(life), tuple(worker.middlewares))
        except BaseException as error:
            link.send(NotReady(_words(program, error)))
            return
        link.send(Ready())
        inbox = Inbox(link)
        while (job := inbox.next()) is not None:
            end = Context().run(run_job, worker.handlers, job, surroundings)
            inbox.ended()
            link.send(end)


class Loaded(Protocol):
    """What a child needs of its worker."""

    handlers: Mapping[str, Handler]
    lifespan: Lifespan[Any]
    middlewares: Sequence[Middleware]


def load(program: Program) -> Loaded:
    """Import the program; return its worker.

    :raises LookupError: it is another program than the worker's
    """
    if program.set_up is not None:
        program.set_up()
    prepare(dict(program.main))
    worker: Any = getattr(importlib.import_module(program.module), program.attribute, None)
    handlers: dict[str, Handler] = getattr(worker, "handlers", {})
    missing = [each for each in sorted(program.job_types) if each not in handlers]
    if missing:
        raise LookupError(
            f"{program.attribute} has no handler for {', '.join(missing)} there: register all "
            "handlers when the module is imported"
        )
    loaded: Loaded = worker
    return loaded


def _words(program: Program, error: BaseException) -> str:
    if isinstance(error, StartupFailed):
        return f"in a child process, {error}"
    what = f"{program.module} cannot be imported in a child process"
    trace = "" if isinstance(error, LookupError | ConfigurationError) else _trace(error)
    return f"{what}: {type(error).__name__}: {error}{trace}"


def _trace(error: BaseException) -> str:
    return "\n" + "".join(traceback.format_exception(error))


class Link:
    """The connection to the worker. Any thread may send; the process ends if the worker is gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        """Send a message."""
        with self._lock:
            try:
                self._connection.send(message)
            except OSError:
                end_all()

    def send_if_free(self, message: object) -> bool:
        """Send a message unless another one is being sent; return whether it was sent.

        For what is sent in the middle of other code: a log line of an object that is destroyed, or
        of a signal handler, may interrupt this very thread while it sends.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._connection.send(message)
        except OSError:
            end_all()
        finally:
            self._lock.release()
        return True

    def receive(self, seconds: float | None = None) -> object:
        """Return the next message; None if there is none in this time."""
        try:
            return self._connection.recv() if self._connection.poll(seconds) else None
        except (EOFError, OSError):
            end_all()


def end_all() -> NoReturn:
    """End this process, and all that its handlers have started."""
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


@dataclass(slots=True)
class Running:
    """The job of this process."""

    job: RunJob
    reports: Reports
    stop: StopSignal = field(default_factory=StopSignal)


class Inbox:
    """Receives messages on a thread of its own, which takes care of the running job."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._jobs: SimpleQueue[Running | None] = SimpleQueue()
        self._running: Running | None = None
        threading.Thread(target=self._receive, name="kafka-bridge-link", daemon=True).start()

    def next(self) -> Running | None:
        """Wait for a job and return it; None: the process is to end."""
        return self._jobs.get()

    def ended(self) -> None:
        """Note that the job has ended. Its stop requests are ignored from now on."""
        self._running = None

    def _receive(self) -> None:
        try:
            self._receive_all()
        except BaseException:  # without this thread the process is deaf
            traceback.print_exc()
            os._exit(1)

    def _receive_all(self) -> NoReturn:
        while True:
            match self._link.receive(None if self._running is None else REPORT_SECONDS):
                case RunJob() as job:
                    self._running = Running(job, Reports(job, self._link))
                    self._jobs.put(self._running)
                case StopJob() as request:
                    self._stop(request)
                case Quit():
                    self._jobs.put(None)
            if (running := self._running) is not None:
                running.reports.send_due()
                running.reports.send_due_lines()

    def _stop(self, request: StopJob) -> None:
        running = self._running
        if running is not None and running.job.number == request.number:
            running.stop.set(request.reason, request.message)


def run_job(handlers: Mapping[str, Handler], running: Running, surroundings: Surroundings) -> End:
    """Run a job on this thread; return how it ended."""
    request = running.job.request
    handler = handlers[request.job_type]
    with job_logging(request):
        capture(running.reports.lines)
        try:
            end: End = Succeeded(*to_bytes(_call(handler, running, surroundings), "result"))
        except BaseException as error:
            if running.stop.reason is not None and is_stop(error):
                end = Stopped(stop_message(error, running.stop.message))
            else:
                end = Failed(failure_in(handler, error))
    running.reports.send_unsent()
    return end


def _call(handler: Handler, running: Running, surroundings: Surroundings) -> Any:
    reports, stop = running.reports, running.stop
    given = (handler, running.job.request, reports, stop, reports.note_retry, surroundings)
    if surroundings.needs_thread(handler):
        return call_handler(*given)
    return JobThread(surroundings.loop, stop).run(call_async_handler(*given))
