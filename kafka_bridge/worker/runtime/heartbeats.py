"""One thread that keeps the promise of every job in flight: an event in each heartbeat interval."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.05
"""Short against every sensible heartbeat interval: a heartbeat may be late by one tick."""
LONGEST_TICK_SECONDS = 0.25
"""The same where thousands are in flight: still short against an interval of a second."""
SHARE = 0.05
"""How much of its time the thread takes for looking, as far as that limit allows: of thousands
of jobs in flight, nearly none has anything to send."""


class Ticking(Protocol):
    """Something that has to be looked after while it lasts."""

    def tick(self) -> None:
        """Do what is due."""


class Heartbeats:
    """Looks after the jobs in flight, whatever their handlers do to their own threads."""

    def __init__(self) -> None:
        self._by_id: dict[int, Ticking] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="kafka-bridge-heartbeats", daemon=True
        )
        self._thread.start()

    def add(self, ticking: Ticking) -> None:
        """Look after this, too."""
        self._by_id[id(ticking)] = ticking

    def remove(self, ticking: Ticking) -> None:
        """Look after this no longer."""
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
    """Return how many seconds to wait after a round that took so many."""
    return min(LONGEST_TICK_SECONDS, max(TICK_SECONDS, seconds / SHARE))
