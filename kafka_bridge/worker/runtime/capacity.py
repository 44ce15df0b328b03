"""Which jobs may be accepted now, and where the accepted ones run."""

from __future__ import annotations

from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.executor import Executor
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.slots import Slots

GIVE_WAY_SECONDS = 0.02
"""How long accepted jobs may keep the polling thread from accepting new ones: a fifth of the time
for which jobs are accepted ahead, so that these never run out meanwhile."""


class Capacity:
    """Slots for accepted jobs, and the executor that runs them. For the polling thread alone."""

    def __init__(self, slots: Slots, executor: Executor) -> None:
        self.slots = slots
        self.executor = executor
        self._suspect: InFlightJob | None = None

    def work(self) -> None:
        """Start accepted jobs, and see how quick they are."""
        self.executor.start_waiting()
        self.executor.give_way(GIVE_WAY_SECONDS)
        self.slots.look(self.executor.started)

    def suspect_has_ended(self) -> bool:
        """Tell, once, that the job has ended that may have killed other workers."""
        if self._suspect is None or not self._suspect.is_over:
            return False
        self._suspect = None
        return True

    def reserve(self, job: InFlightJob, handler: Handler, *, suspect: bool) -> bool:
        """Reserve a slot; return False if none is free.

        :param suspect: whether the job may have killed other workers: one such job at a time
        """
        if not self.slots.free_for(handler) or (suspect and self._suspect is not None):
            return False
        if suspect:
            self._suspect = job
        self.slots.reserve(job, handler)
        return True
