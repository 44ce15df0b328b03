"""The partitions that a worker has, and the jobs of theirs that are in its hands.

For the polling thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.claims import Claim, Partition
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.slots import Slots


@dataclass(slots=True)
class Assignment:
    """Keeps the partitions by number, and the jobs in flight by correlation id.

    In hand are jobs that are accepted, or ended without that, until their end is on record.
    ``epoch`` numbers the assignments; ``call_soon`` has a function called on the polling thread.
    """

    observer: Observer
    heartbeats: Heartbeats
    slots: Slots
    call_soon: Callable[..., None]
    epoch: int = 0
    partitions: dict[int, Partition] = field(default_factory=dict)
    in_flight: dict[str, Claim] = field(default_factory=dict)
    _lost: dict[int, Partition] = field(default_factory=dict)

    # Jobs.

    def take(self, claim: Claim) -> None:
        """Take a job in flight."""
        self.in_flight[claim.correlation_id] = claim
        self.heartbeats.add(claim)

    def done(self, claim: Claim) -> None:
        """Note that nothing is left to do for a request: its offset may be committed."""
        self._put_down(claim)
        claim.partition.offsets.finish(claim.offset)

    def give_up(self, claim: Claim) -> None:
        """Leave a job to others, in silence."""
        self.observer.given_up(claim.request.job_type)
        if claim.run is not None and claim.run.began is not None:
            self.observer.job_log.left(claim.request, claim.run.seconds)
        claim.give_up()
        self._put_down(claim)

    def skip(self, claim: Claim) -> None:
        """Pass a request by: its job is finished."""
        self.observer.skipped()
        if claim.run is not None:
            self.give_up(claim)
        self.done(claim)

    def release(self, claims: Iterable[Claim], why: str) -> None:
        """Hand jobs back: others will do them. Whose end is on its way is left to end."""
        for claim in claims:
            if not claim.is_ours:
                self.give_up(claim)
            elif claim.run is not None:
                claim.run.release(why, partial(self._released, claim))

    def _released(self, claim: Claim, _: BaseException | None) -> None:
        self.call_soon(self._put_down, claim)

    def _put_down(self, claim: Claim) -> None:
        self.heartbeats.remove(claim)
        claim.partition.orphans.pop(claim.offset, None)
        if claim.run is not None and claim.run.began is None:
            self.slots.give_back(claim.run)  # told to stop before it began: it never will
        if self.in_flight.get(claim.correlation_id) is claim:
            del self.in_flight[claim.correlation_id]

    def jobs_of(self, partitions: Iterable[Partition]) -> list[Claim]:
        """Return the jobs in flight of these partitions."""
        wanted = set(map(id, partitions))
        return [each for each in self.in_flight.values() if id(each.partition) in wanted]

    # Partitions.

    def assigned(self, numbers: Iterable[int]) -> None:
        """Take over partitions; jobs of lost ones that do not come back are given up."""
        self.epoch += 1
        for number in numbers:
            partition = self.partitions[number] = Partition(number, self.epoch)
            for claim in self.jobs_of([self._lost.pop(number, partition)]):
                claim.partition = partition
                partition.orphans[claim.offset] = claim
        for claim in self.jobs_of(self._lost.values()):
            self.give_up(claim)
        self._lost.clear()

    def lost(self, numbers: Iterable[int]) -> list[Partition]:
        """Let the jobs of partitions run on, unheard: the group may give them back.

        Those that were ended without a start have nothing to lose: they are judged anew.
        """
        gone = {number: self.partitions.pop(number) for number in numbers}
        self._lost |= gone
        for claim in self.jobs_of(gone.values()):
            claim.is_ours = False
            if claim.run is None:
                self.give_up(claim)
        return list(gone.values())

    def forget(self, numbers: Iterable[int]) -> None:
        """Leave partitions to others. Jobs of theirs that could not be handed back are given up."""
        gone = [self.partitions.pop(number) for number in numbers]
        for claim in self.jobs_of(gone):
            self.give_up(claim)

    def skipped(self, number: int, end: int) -> None:
        """Note that the consumer goes on at ``end``: what lies before cannot be read."""
        if (partition := self.partitions.get(number)) is not None:
            partition.offsets.skip_to(end)

    def positions(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return by partition the offset to go on from, where anything was taken."""
        known = {n: self.partitions[n].offsets.position for n in numbers if n in self.partitions}
        return {number: at for number, at in known.items() if at is not None}

    def moved_positions(self) -> dict[int, int]:
        """Return the positions that have moved since this was last asked."""
        moved = {number: each.offsets.to_commit() for number, each in self.partitions.items()}
        return {number: at for number, at in moved.items() if at is not None}
