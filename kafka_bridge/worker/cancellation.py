"""How a running job is told to stop, and why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum

from kafka_bridge.kafka.forks import at_fork


class StopReason(StrEnum):
    """Why a job should stop."""

    CANCELLED = "cancelled"
    """Somebody asked for that: the task was cleared, killed or marked, or ran out of time."""
    DEADLINE = "deadline"
    """The request's ``deadline`` has passed."""
    RELEASED = "released"
    """This worker shuts down or has to give the job away: another delivery does it anew."""
    LOST = "lost"
    """The group has given the job to another worker: nothing that is said here counts."""


class JobStopped(BaseException):
    """Raised by :meth:`JobContext.check_cancelled` in a job that should stop; let it pass.

    No ``Exception``, as :class:`asyncio.CancelledError` is none: ``except Exception`` in a handler
    must not swallow it.

    :ivar reason: why
    """

    def __init__(self, reason: StopReason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class StopSignal:
    """Set once, by any thread; what it says first is what holds."""

    __slots__ = ("_listeners", "message", "reason")

    _lock = threading.Lock()
    """One for all jobs: it is held for an instant, and few jobs are stopped or wait for that."""

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
        for tell in listeners:
            tell()

    def listen(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` when the job is asked to stop: at once where it has been."""
        with self._lock:
            if self.reason is None:
                self._listeners += (tell,)
                return
        tell()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the job is asked to stop.

        :raises JobStopped: it was
        """
        is_set = threading.Event()  # made only here: most jobs never wait
        self.listen(is_set.set)
        is_set.wait(seconds)
        self.check()

    def check(self) -> None:
        """Return if the job may go on.

        :raises JobStopped: it was asked to stop
        """
        if self.reason is not None:
            raise JobStopped(self.reason, self.message)


def _after_fork() -> None:
    StopSignal._lock = threading.Lock()  # noqa: SLF001  another thread may have held it


at_fork(in_child=_after_fork)
