"""One thread that keeps the promise of every job in hand: an event in each heartbeat interval."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.05
"""Short against every sensible heartbeat interval: a heartbeat may be late by one tick."""


class Ticking(Protocol):
    """Something that has to be looked after while it lasts."""

    def tick(self) -> None:
        """Do what is due."""


class Heartbeats:
    """Looks after the jobs in hand, whatever their handlers do to their own threads."""

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
        while not self._stopping.wait(TICK_SECONDS):
            for ticking in list(self._by_id.values()):
                try:
                    ticking.tick()
                except Exception:
                    _log.exception("What was due was not done for %s", ticking)

    def close(self) -> None:
        """Stop."""
        self._stopping.set()
        self._thread.join()
