"""What becomes of a request that has arrived: it is done with, waits in a lane, or is passed over.

Nothing is decided before the ledger was read for the partition that the request came with: it is
read as the first request of a new partition arrives, whether or not a place is free by then. From
that moment on this worker speaks for the jobs that others had begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kafka_bridge.kafka.control import ControlReader
from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.codec import detect
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.backlog import BACKLOG_RECORDS, SHARED, Backlog
from kafka_bridge.worker.runtime.claims import Claim, Partition
from kafka_bridge.worker.runtime.ledger import Ledger
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, Unfinished
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.pending_dead_letters import Aside
from kafka_bridge.worker.runtime.reporter import JobReporter
from kafka_bridge.worker.runtime.skipped_requests import MOST_PASSED_OVER
from kafka_bridge.worker.runtime.stand_ins import StandIns


@dataclass(slots=True)
class Intake:
    """Takes requests in. For the polling thread alone.

    ``reporter_of`` makes what speaks for a job that was begun. ``look_at_all`` is set where one has
    come that needs no place.

    :ivar then: called with each snapshot of the ledger, before what waited for it is taken in
    """

    assignment: Assignment
    backlog: Backlog
    ledger: Ledger
    control: ControlReader
    aside: Aside
    stand_ins: StandIns
    membership: Membership
    reporter_of: Callable[[Claim, Unfinished], JobReporter]
    then: Callable[[LedgerSnapshot], None]
    look_at_all: bool = False

    def receive(self, arrived: Iterable[Received]) -> None:
        """Take in requests that have arrived.

        Their partition may have gone within the poll that brought them: they are its new owner's.
        """
        for received in arrived:
            if (partition := self.assignment.partitions.get(received.partition)) is None:
                continue
            partition.offsets.take(received.offset)
            if received.value is None:  # a tombstone asks for nothing
                partition.offsets.finish(received.offset)
            elif (claim := self._claim(partition, received)) is not None:
                self._take_in(claim)

    def receive_again(self, partition: Partition, received: Received) -> None:
        """Take in a request that was passed over."""
        if (claim := self._claim(partition, received)) is not None:
            claim.was_passed_over = True
            self._take_in(claim)

    def _claim(self, partition: Partition, received: Received) -> Claim | None:
        offset = received.offset
        try:
            request = received.decode(JobRequest)
        except RemoteProtocolError as error:
            # Without its frames: they refer to the value, and through this one to the error itself.
            unreadable = type(error)(error.reason, error.location)
        else:
            return self._orphan_or_claim(partition, received, request)
        # Not while the error is being handled: where confluent_kafka's produce() refuses a record
        # then, it keeps that error for ever (2.16.1), and with it the request's value.
        self.aside.put(
            partition,
            received,
            unreadable,
            done=lambda: partition.offsets.finish(offset),
            tells_sender=True,
        )
        return None

    def _orphan_or_claim(
        self, partition: Partition, received: Received, request: JobRequest
    ) -> Claim:
        return self._orphan(partition, received.offset) or Claim(
            partition, received, request, detect(received.value), self.membership
        )

    def _orphan(self, partition: Partition, offset: int) -> Claim | None:
        """Return the job in flight whose request has come again."""
        if not partition.orphans:
            return None
        for passed in [each for each in partition.orphans if each < offset]:
            self.assignment.give_up(partition.orphans.pop(passed))
        return partition.orphans.pop(offset, None)

    def _take_in(self, claim: Claim) -> None:
        snapshot = self.ledger.snapshot_for(claim.request, claim.partition.epoch)
        if snapshot is None:
            self.backlog.undecided.append(claim)
        else:
            self._decide(claim, snapshot)

    def _decide(self, claim: Claim, snapshot: LedgerSnapshot) -> None:
        """Let a request wait in its lane, or pass it over where there is no room."""
        is_again = claim.run is None and claim.correlation_id in self.assignment.in_flight
        if claim.run is None and self._is_finished(claim, snapshot):
            self.assignment.skip(claim)
            return
        if not is_again and self._needs_no_place(claim, snapshot):
            self.look_at_all = True  # so it must not wait for one
            self.backlog.add(claim)
            return
        before = None if is_again else snapshot.unfinished.get(claim.correlation_id.encode())
        if before is not None and self.backlog.takes_begun:
            claim.is_begun = True
            if not before.is_released:
                self.stand_ins.add(claim, self.reporter_of(claim, before))
        elif self.backlog.lane_of(claim).name == SHARED:
            claim.partition.unbegun += 1
        if claim.is_begun or self._has_room(claim):
            self.backlog.add(claim)
        else:
            self._pass_over(claim)

    def _needs_no_place(self, claim: Claim, snapshot: LedgerSnapshot) -> bool:
        """Tell whether a request is taken up again, ended or set aside, but not started."""
        is_cancelled = claim.correlation_id in self.control.reasons
        return claim.run is not None or snapshot.failure is not None or is_cancelled

    def _is_finished(self, claim: Claim, snapshot: LedgerSnapshot) -> bool:
        return (
            self.ledger.is_finished_here(claim.correlation_id)
            or claim.correlation_id.encode() in snapshot.finished
        )

    def _has_room(self, claim: Claim) -> bool:
        """Tell whether its lane has room, and none was passed over that should come before it."""
        lane, positions = self.backlog.lane_of(claim), claim.partition.offsets
        if claim.was_passed_over or not positions.may_pass_over(claim.offset, lane.name):
            return True
        return lane.has_room and positions.first_passed_over(lane.name) is None

    def _pass_over(self, claim: Claim) -> None:
        partition, created_at = claim.partition, claim.request.created_at.timestamp()
        partition.offsets.pass_over(claim.offset, self.backlog.lane_of(claim).name)
        partition.oldest_passed_over = min(partition.oldest_passed_over, created_at)

    # The ledger.

    def learn(self) -> None:
        """Have the ledger read that requests wait for."""
        for topic in {each.request.response_topic for each in self.backlog.undecided}:
            self._read_ledger(topic)

    def _read_ledger(self, topic: str) -> None:
        """Read what a response topic says of all requests that name it, unless that goes on."""
        if not self.ledger.may_read(topic):
            return
        asking = [
            (each.request.created_at.timestamp(), each.correlation_id.encode())
            for each in self.backlog
            if each.request.response_topic == topic
        ]
        passed_over = [
            (each.oldest_passed_over, b"")
            for each in self.assignment.partitions.values()
            if each.offsets.passed_over
        ]
        self.ledger.read(topic, asking + passed_over, self.assignment.epoch, self._ledger_read)

    def _ledger_read(self, snapshot: LedgerSnapshot) -> None:
        self.then(snapshot)
        waiting, self.backlog.undecided = self.backlog.undecided, deque()
        for claim in waiting:
            self._take_in(claim)
        self.look_at_all = True

    # What to fetch.

    @property
    def is_full(self) -> bool:
        """Whether enough requests wait."""
        return self.backlog.is_full or self.aside.is_full

    def held(self) -> set[int]:
        """Return the partitions of which nothing more is to be fetched now."""
        held = set()
        is_full, has_passed_many = self.is_full, self._passed_over >= MOST_PASSED_OVER
        for number, partition in self.assignment.partitions.items():
            passed_over = partition.offsets.first_passed_over(SHARED) is not None
            looks_for_begun = not has_passed_many and self._looks_for_begun(partition)
            if (is_full or has_passed_many or passed_over) and not looks_for_begun:
                held.add(number)
        return held

    @property
    def _passed_over(self) -> int:
        return sum(each.offsets.passed_over for each in self.assignment.partitions.values())

    def _looks_for_begun(self, partition: Partition) -> bool:
        """Tell whether a partition has to be read on for jobs that others had begun.

        A worker begins nothing that lies behind a thousand requests that it has not begun, those of
        types with a lane of their own aside.
        """
        if len(self.backlog.undecided) >= BACKLOG_RECORDS or self.aside.is_full:
            return False
        is_unknown = not self.ledger.has_read(partition.epoch)
        return partition.unbegun < BACKLOG_RECORDS and (is_unknown or self.ledger.knows_of_begun)
