"""One thread that publishes the heartbeats of all jobs in flight."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.05
"""Short against every sensible heartbeat interval: a heartbeat may be late by one tick."""
LONGEST_TICK_SECONDS = 0.25
"""The same for thousands of jobs: still short against an interval of a second."""
SHARE = 0.05
"""The share of its time that the thread spends on checks, as far as that limit allows: of thousands
of jobs in flight, few have anything to send."""


class Ticking(Protocol):
    """Something with work that is due from time to time."""

    def tick(self) -> None:
        """Do what is due."""


class Heartbeats:
    """Ticks all jobs in flight, whatever their handlers do to their own threads."""

    def __init__(self) -> None:
        self._by_id: dict[int, Ticking] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="kafka-bridge-heartbeats", daemon=True
        )
        self._thread.start()

    def add(self, ticking: Ticking) -> None:
        """Start ticking this."""
        self._by_id[id(ticking)] = ticking

    def remove(self, ticking: Ticking) -> None:
        """Stop ticking this."""
        self._by_id.pop(id(ticking), None)

    def _run(self) -> None:
        pause = TICK_SECONDS
        while not self._stopping.wait(pause):
            began = time.monotonic()
            self._tick_all()
            pause = pause_after(time.monotonic() - began)

    def _tick_all(self) -> None:
        for ticking in list(self._by_id.values()):
            try:
                ticking.tick()
            except Exception:
                _log.exception("Heartbeat of %s failed", ticking)

    def close(self) -> None:
        """Stop."""
        self._stopping.set()
        self._thread.join()


def pause_after(seconds: float) -> float:
    """Return the pause in seconds after a round that took ``seconds``."""
    return min(LONGEST_TICK_SECONDS, max(TICK_SECONDS, seconds / SHARE))
