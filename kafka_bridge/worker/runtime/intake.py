"""Decides what happens to a consumed request: it is finished, queued, or skipped and read again.

Nothing is decided before the ledger was read for the partition that the request came with. It is
read when the first request of a new partition arrives, whether or not a slot is free by then. From
that moment on this worker publishes heartbeats of the jobs that others had begun.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from kafka_bridge.kafka.finished_runs import ConsumedRecord
from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.codec import detect
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.runtime.admission import Admission
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.backlog import BACKLOG_RECORDS, SHARED, Backlog
from kafka_bridge.worker.runtime.handover import HandoverHeartbeats
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot
from kafka_bridge.worker.runtime.membership import Membership, Ownership
from kafka_bridge.worker.runtime.partition import Partition
from kafka_bridge.worker.runtime.pending_dead_letters import PendingDeadLetters
from kafka_bridge.worker.runtime.publishing import Publishing
from kafka_bridge.worker.runtime.skipped_requests import MAX_SKIPPED


@dataclass(slots=True)
class Intake:
    """Accepts consumed requests into the backlog. For the polling thread alone.

    :ivar visit_all: set when a job is queued that needs no slot
    """

    assignment: Assignment
    backlog: Backlog
    admission: Admission
    publishing: Publishing
    handover: HandoverHeartbeats
    dead_letters: PendingDeadLetters
    membership: Membership
    visit_all: bool = False

    def receive(self, arrived: Iterable[Received]) -> None:
        """Process requests that were consumed.

        Their partition may have gone within the poll that returned them: its new owner gets them.
        """
        last = dict[Partition, Received]()
        for received in arrived:
            if (partition := self.assignment.partitions.get(received.partition)) is None:
                continue
            last[partition] = received
            if partition.offsets.passes(received.offset):
                continue
            partition.offsets.consume(received.offset)
            if received.value is None:  # a tombstone is not a request
                partition.offsets.finish(received.offset)
            elif (job := self._job(partition, received)) is not None:
                self.queue(job)
        for partition, received in last.items():
            partition.offsets.note_last(
                ConsumedRecord.of(received.offset, received.key, received.timestamp_ms)
            )

    def receive_again(self, partition: Partition, received: Received) -> None:
        """Process a request that was skipped and has been read again."""
        if (job := self._job(partition, received)) is not None:
            job.was_skipped = True
            self.queue(job)

    def _job(self, partition: Partition, received: Received) -> InFlightJob | None:
        """Return the job of a request; None if the request cannot be read."""
        offset = received.offset
        try:
            request = received.decode(JobRequest)
        except RemoteProtocolError as error:
            # Without its frames: they refer to the value, and through this one to the error itself.
            unreadable = type(error)(error.reason, error.location)
        else:
            return self.assignment.orphan(partition, offset) or InFlightJob(
                partition, received, request, detect(received.value), Ownership(self.membership)
            )
        # Not while the error is being handled: where confluent_kafka's produce() refuses a record
        # then, it keeps that error forever (2.16.1), and with it the request's value.
        self.dead_letters.put(
            partition,
            received,
            unreadable,
            done=lambda: partition.offsets.finish(offset),
            notifies_sender=True,
        )
        return None

    def queue(self, job: InFlightJob) -> None:
        """Decide where a job waits; without the ledger, it is undecided."""
        snapshot = self.admission.snapshot_for(job)
        if snapshot is None:
            self.backlog.undecided.append(job)
        else:
            self._decide(job, snapshot)

    def _decide(self, job: InFlightJob, snapshot: LedgerSnapshot) -> None:
        """Queue a job in its lane, or skip its request if there is no room."""
        is_queued = job.is_queued
        is_duplicate = is_queued and job.correlation_id in self.assignment.in_flight
        if is_queued and self.admission.is_finished(job, snapshot):
            self.skip_finished(job)
            return
        if not is_duplicate and self._needs_no_slot(job, snapshot):
            self.visit_all = True  # so it must not wait for one
            self.backlog.add(job)
            return
        before = None if is_duplicate else snapshot.unfinished.get(job.correlation_id.encode())
        if before is not None and self.backlog.has_room_for_begun:
            job.began_elsewhere = True
            if not before.is_released:
                self.handover.add(job, self.publishing.handover_reporter(job, before))
        elif self.backlog.lane_of(job).name == SHARED:
            job.partition.unbegun += 1
        if job.began_elsewhere or self._has_room(job):
            self.backlog.add(job)
        else:
            self._skip(job)

    def _needs_no_slot(self, job: InFlightJob, snapshot: LedgerSnapshot) -> bool:
        """Tell whether a job is reattached, rejected or dead-lettered, but not started."""
        return (
            not job.is_queued
            or snapshot.failure is not None
            or self.admission.cancel_reason(job) is not None
        )

    def skip_finished(self, job: InFlightJob) -> None:
        """Ignore a request whose job is finished."""
        self.handover.remove(job)
        self.assignment.observer.skipped()
        self.assignment.finished_elsewhere(job)

    def _has_room(self, job: InFlightJob) -> bool:
        """Tell whether a lane has room, and skipped nothing that comes before this job."""
        lane, offsets = self.backlog.lane_of(job), job.partition.offsets
        if job.was_skipped or not offsets.may_skip(job.offset, lane.name):
            return True
        return lane.has_room and offsets.first_skipped(lane.name) is None

    def _skip(self, job: InFlightJob) -> None:
        partition, created_at = job.partition, job.request.created_at.timestamp()
        partition.offsets.skip(job.offset, self.backlog.lane_of(job).name)
        partition.oldest_skipped = min(partition.oldest_skipped, created_at)

    # The ledger.

    def read_ledger(self) -> None:
        """Have the ledger read for the undecided jobs."""
        if self.backlog.undecided:
            for topic in {each.request.response_topic for each in self.backlog.undecided}:
                self._read_topic(topic)

    def _read_topic(self, topic: str) -> None:
        """Read a response topic for all requests that name it, unless it is being read."""
        if not self.admission.ledger.may_read(topic):
            return
        asking = [
            (each.request.created_at.timestamp(), each.correlation_id.encode())
            for each in self.backlog
            if each.request.response_topic == topic
        ]
        skipped = [
            (each.oldest_skipped, b"")
            for each in self.assignment.partitions.values()
            if each.offsets.skipped
        ]
        self.admission.ledger.read(
            topic, asking + skipped, self.assignment.epoch, self._ledger_read
        )

    def _ledger_read(self, snapshot: LedgerSnapshot) -> None:
        for job in list(self.assignment.in_flight.values()):
            if job.correlation_id.encode() in snapshot.finished and not job.has_published_end:
                self.assignment.finished_elsewhere(job)
        undecided, self.backlog.undecided = self.backlog.undecided, deque()
        for job in undecided:
            self.queue(job)
        self._promise_slots(snapshot)
        self.visit_all = True

    def _promise_slots(self, snapshot: LedgerSnapshot) -> None:
        """Keep slots for jobs that others had begun and that have to wait for a longer reading.

        The first reading shows their last events. Their heartbeats begin at once.
        """
        promised = Counter[str]()
        for job in self.backlog.undecided:
            before = snapshot.unfinished.get(job.correlation_id.encode())
            if before is None or not job.is_queued:
                continue
            promised[job.request.job_type] += 1
            if not before.is_released:
                self.handover.add(job, self.publishing.handover_reporter(job, before))
        handlers = self.admission.handlers
        for job_type in promised.keys() & handlers.keys():
            promised[job_type] = handlers[job_type].slots_for(promised[job_type])
        self.assignment.slots.promise(promised)

    # Partitions.

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Forget the queued jobs of partitions: other workers get them."""
        gone = set(map(id, partitions))
        self.backlog.drop(partitions)
        if not self.backlog.undecided:
            self.assignment.slots.promise(Counter())
        self.handover.drop(lambda job: id(job.partition) in gone)

    @property
    def is_full(self) -> bool:
        """Whether enough requests are queued."""
        return self.backlog.is_full or self.dead_letters.is_full

    def held(self) -> set[int]:
        """Return the partitions from which nothing more may be fetched now."""
        held = set()
        is_full, has_skipped_many = self.is_full, self._skipped >= MAX_SKIPPED
        for number, partition in self.assignment.partitions.items():
            has_skipped = partition.offsets.first_skipped(SHARED) is not None
            looks_for_begun = not has_skipped_many and self._looks_for_begun(partition)
            if (is_full or has_skipped_many or has_skipped) and not looks_for_begun:
                held.add(number)
        return held

    @property
    def _skipped(self) -> int:
        return sum(each.offsets.skipped for each in self.assignment.partitions.values())

    def _looks_for_begun(self, partition: Partition) -> bool:
        """Tell whether a partition has to be read on for jobs that others had begun.

        A worker begins nothing that lies behind a thousand requests that it has not begun, except
        for types with a lane of their own.
        """
        if len(self.backlog.undecided) >= BACKLOG_RECORDS or self.dead_letters.is_full:
            return False
        ledger = self.admission.ledger
        is_unknown = not ledger.has_read(partition.epoch)
        return partition.unbegun < BACKLOG_RECORDS and (is_unknown or ledger.has_unfinished)
