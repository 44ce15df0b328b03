"""How a running job is asked to stop, and why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum

from kafka_bridge.kafka.forks import at_fork


class StopReason(StrEnum):
    """Why a job should stop."""

    CANCELLED = "cancelled"
    """The task was cleared, killed, marked or timed out, or a person cancelled the job."""
    DEADLINE = "deadline"
    """The request's ``deadline`` has passed."""
    TIME_LIMIT = "time_limit"
    """The handler has run for its ``time_limit``."""
    RELEASED = "released"
    """This worker shuts down or has to release the job: another delivery does it from the start."""
    LOST = "lost"
    """The group has assigned the job to another worker: this worker's events do not count."""


class JobStopped(BaseException):
    """Raised by :meth:`JobContext.raise_if_stopped` in a job that should stop; let it pass.

    It is not an ``Exception``, as :class:`asyncio.CancelledError` is not: ``except Exception`` in a
    handler must not swallow it.

    :ivar reason: why the job should stop
    """

    def __init__(self, reason: StopReason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class StopSignal:
    """Set once, by any thread; the first reason stays."""

    __slots__ = ("_listeners", "message", "reason")

    _lock = threading.Lock()
    """Shared by all jobs: it is held for an instant, and few jobs are stopped or wait for that."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self.message = ""
        self._listeners: tuple[Callable[[], None], ...] = ()

    def set(self, reason: StopReason, message: str) -> None:
        """Ask the job to stop."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason, self.message = reason, message
            listeners = self._listeners
        for notify in listeners:
            notify()

    def listen(self, notify: Callable[[], None]) -> None:
        """Call ``notify`` when the job is asked to stop; at once if that has happened."""
        with self._lock:
            if self.reason is None:
                self._listeners += (notify,)
                return
        notify()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the job is asked to stop.

        :raises JobStopped: the job was asked to stop
        """
        is_set = threading.Event()  # made only here: most jobs never wait
        self.listen(is_set.set)
        is_set.wait(seconds)
        self.check()

    def check(self) -> None:
        """Return if the job may go on.

        :raises JobStopped: the job was asked to stop
        """
        if self.reason is not None:
            raise JobStopped(self.reason, self.message)


def _after_fork() -> None:
    StopSignal._lock = threading.Lock()  # noqa: SLF001  another thread may have held it


at_fork(in_child=_after_fork)
