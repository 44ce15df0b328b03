"""Which jobs may be accepted now, and where the accepted ones run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.executor import Executor
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.slots import ProcessSlots, Slots
from kafka_bridge.worker.runtime.surroundings import Surroundings
from kafka_bridge.worker.settings import WorkerSettings

GIVE_WAY_SECONDS = 0.02
"""How long accepted jobs may keep the polling thread from accepting new ones: a fifth of the time
for which jobs are accepted ahead, so that these never run out meanwhile."""


class Capacity:
    """Slots for accepted jobs, and the executors that run them. For the polling thread alone.

    :param in_processes: the executor of jobs that run in child processes; None if there are none
    """

    def __init__(
        self, slots: Slots, executor: Executor, in_processes: Executor | None = None
    ) -> None:
        self.slots = slots
        self.executor = executor
        self.in_processes = in_processes
        self._suspect: InFlightJob | None = None

    @property
    def running(self) -> int:
        """How many jobs run."""
        others = self.in_processes
        return self.executor.running + (0 if others is None else others.running)

    @property
    def most(self) -> int:
        """How many jobs may run at a time."""
        others = self.slots.in_processes
        return self.slots.concurrency + (0 if others is None else others.concurrency)

    @property
    def taken(self) -> int:
        """How many slots are in use."""
        others = self.slots.in_processes
        return self.slots.taken + (0 if others is None else others.taken)

    def submit(self, job: InFlightJob) -> None:
        """Give an accepted job to its executor."""
        others = self.in_processes
        executor = self.executor if others is None or not job.handler.in_process else others
        executor.submit(job)

    def start_waiting(self) -> None:
        """Start accepted jobs."""
        self.executor.start_waiting()
        if self.in_processes is not None:
            self.in_processes.start_waiting()

    def when_ended(self, ended: Callable[[InFlightJob], None]) -> None:
        """Have this called on any thread when a handler has ended, in whatever way."""
        self.executor.ended = ended
        if self.in_processes is not None:
            self.in_processes.ended = ended

    def work(self) -> None:
        """Start accepted jobs, and see how quick they are."""
        self.start_waiting()
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
            self._suspect, job.is_suspect = job, True
        self.slots.reserve(job, handler)
        return True


def capacity_for(
    settings: WorkerSettings, handlers: Mapping[str, Handler], surroundings: Surroundings
) -> Capacity:
    """Return the capacity of a worker with these handlers, by job type."""
    slots, executor = Slots(settings.concurrency), Executor(settings.concurrency, surroundings)
    in_processes = frozenset(name for name, handler in handlers.items() if handler.in_process)
    if not in_processes:
        return Capacity(slots, executor)
    slots.in_processes = ProcessSlots(settings.processes, in_processes)
    return Capacity(slots, executor, Executor(settings.processes, surroundings))
