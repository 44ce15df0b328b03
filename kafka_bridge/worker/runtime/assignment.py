"""The partitions that a worker has, and the jobs of theirs that are in flight.

For the polling thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from kafka_bridge.kafka.consumer import Position
from kafka_bridge.kafka.finished_runs import FinishedRuns
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.in_flight import STARTABLE, InFlightJob, Phase
from kafka_bridge.worker.runtime.partition import OffsetTracker, Partition
from kafka_bridge.worker.runtime.slots import Slots


@dataclass(slots=True)
class Assignment:
    """The partitions by number, and the jobs in flight by correlation id.

    In flight are jobs that are accepted or rejected, until their end is on record.

    :ivar epoch: numbers the assignments
    :ivar orphans: by partition and offset, jobs that were in flight when an earlier assignment of
        the same partition was lost. Each is reattached when its request is consumed again. One that
        others have finished, with no request after it, is not noticed: it publishes nothing, and
        keeps its slot until its handler returns
    """

    observer: Observer
    heartbeats: Heartbeats
    slots: Slots
    call_soon: Callable[..., None]
    epoch: int = 0
    partitions: dict[int, Partition] = field(default_factory=dict)
    in_flight: dict[str, InFlightJob] = field(default_factory=dict)
    orphans: dict[int, dict[int, InFlightJob]] = field(default_factory=dict)
    _lost: dict[int, Partition] = field(default_factory=dict)

    # Jobs.

    def add(self, job: InFlightJob) -> None:
        """Add a job that is in flight from now on."""
        self.in_flight[job.correlation_id] = job
        self.heartbeats.add(job)

    def has(self, job: InFlightJob) -> bool:
        """Tell whether this very job is in flight, and not another one of its id."""
        return self.in_flight.get(job.correlation_id) is job

    def finish(self, job: InFlightJob) -> None:
        """Note that nothing is left to do for a job: its offset may be committed.

        A job that is over stays as it is: its terminal event and its dead letter may both be
        acknowledged, if its response topic was missing when its partition came back.
        """
        if not job.is_over:
            job.enter(Phase.DONE)
            self._close(job)
            job.partition.offsets.finish(job.offset)

    def abandon(self, job: InFlightJob) -> None:
        """Leave a job to other workers, without an event."""
        if job.abandon():
            self.observer.abandoned(job.request.job_type)
            if job.has_begun:
                self.observer.job_log.left(job.request, job.seconds)
            self._close(job)

    def finished_elsewhere(self, job: InFlightJob) -> None:
        """Note that another worker has finished a job: its offset may be committed."""
        if job.is_queued:
            self.finish(job)
        else:
            self.abandon(job)
            job.partition.offsets.finish(job.offset)

    def release(self, jobs: Iterable[InFlightJob], why: str) -> None:
        """Hand jobs back: others do them again. Those that are ending are left to end."""
        for job in jobs:
            if job.ownership.is_owned:
                job.release(why, partial(self._release_settled, job))
            else:
                self.abandon(job)

    def release_unstarted(self, jobs: Iterable[InFlightJob], why: str) -> None:
        """Hand back the jobs whose handlers were not called yet."""
        self.release([each for each in jobs if each.phase in STARTABLE], why)

    def _release_settled(self, job: InFlightJob, _: BaseException | None) -> None:
        self.call_soon(self._released, job)

    def _released(self, job: InFlightJob) -> None:
        if job.try_enter(Phase.RELEASED):  # else it was abandoned meanwhile
            self._close(job)

    def _close(self, job: InFlightJob) -> None:
        self.heartbeats.remove(job)
        if orphans := self.orphans.get(job.partition.number):
            orphans.pop(job.offset, None)
        if not job.has_begun:  # its handler will never be called
            self.slots.free(job)
        if self.has(job):
            del self.in_flight[job.correlation_id]

    def jobs_of(self, partitions: Iterable[Partition]) -> list[InFlightJob]:
        """Return the jobs in flight of these partitions."""
        wanted = set(map(id, partitions))
        return [each for each in self.in_flight.values() if id(each.partition) in wanted]

    def orphan(self, partition: Partition, offset: int) -> InFlightJob | None:
        """Return the job in flight whose request was consumed again, None if there is none.

        Orphans before that offset did not come again: others have finished them.
        """
        orphans = self.orphans.get(partition.number)
        if not orphans:
            return None
        for missed in [each for each in orphans if each < offset]:
            self.abandon(orphans.pop(missed))
        return orphans.pop(offset, None)

    # Partitions.

    def assigned(
        self, numbers: Iterable[int], finished: Mapping[int, FinishedRuns] | None = None
    ) -> None:
        """Add partitions; abandon the jobs of lost ones that do not come back.

        :param finished: by partition, what is finished above its committed offset, where known
        """
        self.epoch += 1
        for number in numbers:
            offsets = OffsetTracker((finished or {}).get(number))
            partition = self.partitions[number] = Partition(number, self.epoch, offsets=offsets)
            orphans = self.jobs_of([self._lost.pop(number, partition)])
            for job in orphans:
                job.partition = partition
            self.orphans[number] = {job.offset: job for job in orphans}
        for job in self.jobs_of(self._lost.values()):
            self.abandon(job)
        self._lost.clear()

    def lost(self, numbers: Iterable[int]) -> list[Partition]:
        """Remove lost partitions; their jobs run on silently: the group may give them back.

        Jobs that are not running have nothing to lose: their requests are decided again.
        """
        gone = {number: self.partitions.pop(number) for number in numbers}
        self._lost |= gone
        for number in gone:
            self.orphans.pop(number, None)
        for job in self.jobs_of(gone.values()):
            job.ownership.is_owned = False
            if job.phase in (Phase.REJECTING, Phase.DEAD_LETTERING):
                self.abandon(job)
        return list(gone.values())

    def forget(self, numbers: Iterable[int]) -> None:
        """Remove revoked partitions; abandon the jobs that could not be released."""
        gone = [self.partitions.pop(number) for number in numbers]
        for job in self.jobs_of(gone):
            self.abandon(job)
        for each in gone:
            self.orphans.pop(each.number, None)

    def jump(self, number: int, end: int) -> None:
        """Note that the consumer goes on at ``end``: what lies before cannot be read."""
        if (partition := self.partitions.get(number)) is not None:
            partition.offsets.jump_to(end)

    def seeks(self) -> dict[int, int]:
        """Return, by partition, where to continue, if the next records are finished."""
        ends = {number: each.offsets.seek() for number, each in self.partitions.items()}
        return {number: end for number, end in ends.items() if end is not None}

    def positions(self, numbers: Iterable[int] | None = None) -> dict[int, Position]:
        """Return, by partition, what to commit, if anything was consumed.

        :param numbers: all partitions by default
        """
        chosen = self.partitions if numbers is None else numbers
        known = {n: self.partitions[n].offsets.to_commit for n in chosen if n in self.partitions}
        return {number: at for number, at in known.items() if at is not None}

    def moved_positions(self) -> dict[int, Position]:
        """Return what to commit where it has changed since the last call."""
        moved = {number: each.offsets.moved() for number, each in self.partitions.items()}
        return {number: at for number, at in moved.items() if at is not None}
