"""Ends a process that does not end by itself after its worker was told to stop.

At its exit, Python waits for what handlers have left behind: processes of :mod:`multiprocessing`,
and threads of executors, including that of ``asyncio.to_thread``. Their jobs have been released, so
nothing needs them any more, and a supervisor would wait in vain.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import threading
import time
from types import FrameType
from typing import Any

_log = logging.getLogger(__name__)

STOPPING_SECONDS = 30.0
"""How long a worker may take to stop after its grace period: to release unfinished jobs, and to
publish the last events while brokers do not answer."""
EXIT_SECONDS = 5.0
"""How long Python may wait at the program's exit for what is left behind."""
CHILD_SECONDS = 1.0
"""How long children that got SIGTERM may take to end."""
_LOOK_SECONDS = 0.5


class LastResort:
    """Ends the process by force if it has not ended in time after :meth:`begin`.

    Create it on the main thread, while the program's own code runs there.

    :ivar exit_code: the exit code of a process that is ended by force
    """

    def __init__(self) -> None:
        self.exit_code = 1
        self._seconds = math.inf
        self._program = _outermost_frame()
        self._begun = threading.Event()
        self._is_off = False
        # Made here, since a signal handler may have interrupted the start of another thread.
        threading.Thread(target=self._run, name="kafka-bridge-last-resort", daemon=True).start()

    def begin(self, seconds: float) -> None:
        """Expect the process to end from now on. A signal handler may call this.

        :param seconds: after which it is ended even if the program's own code still runs
        """
        if not self._begun.is_set():
            self._seconds = seconds
            self._begun.set()

    def call_off(self) -> None:
        """Leave the process alone, unless :meth:`begin` was called."""
        self._is_off = not self._begun.is_set()
        self._begun.set()

    def _run(self) -> None:
        self._begun.wait()
        if self._is_off:
            return
        begun, exiting_since = time.monotonic(), None
        while (now := time.monotonic()) - begun < self._seconds:
            if _outermost_frame() is not self._program:
                exiting_since = exiting_since or now
                if now - exiting_since >= EXIT_SECONDS:
                    break
            time.sleep(_LOOK_SECONDS)
        end_by_force(self.exit_code)


def _outermost_frame() -> FrameType | None:
    """Return the main thread's first frame: the program's, until Python runs its exit handlers."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def end_by_force(exit_code: int) -> None:
    """End the process at once, and the children that :mod:`multiprocessing` knows of."""
    children = _children()
    left = [*(f"{each.name} (process {each.pid})" for each in children), *_threads()]
    _log.error(
        "The process of this worker does not end by itself. Ending it by force; still running: %s",
        ", ".join(left) or "nothing known to Python",
    )
    for end in ("terminate", "kill"):
        for child in children:
            with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
                getattr(child, end)()
        if children:
            time.sleep(CHILD_SECONDS)
    os._exit(exit_code)


def _children() -> list[Any]:
    multiprocessing = sys.modules.get("multiprocessing")
    return [] if multiprocessing is None else multiprocessing.active_children()


def _threads() -> list[str]:
    """Return the threads that are not this package's: an executor's may be daemons, and count."""
    return [
        f"{each.name} (thread)"
        for each in threading.enumerate()
        if each is not threading.main_thread() and not each.name.startswith("kafka-bridge")
    ]
