"""Takes each request from its turn in the backlog to the moment its offset may be committed.

Everything here happens on the polling thread. What happens on others (a handler has returned, the
brokers have acknowledged an event) is put into the mailbox and done in :meth:`Scheduler.work`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from kafka_bridge.kafka.finished_runs import FinishedRuns
from kafka_bridge.kafka.records import Received
from kafka_bridge.worker.cancellation import StopReason
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.admission import Admission, DeadLetter, Decision, End, Skip, Start
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.backlog import Backlog
from kafka_bridge.worker.runtime.capacity import Capacity
from kafka_bridge.worker.runtime.handover import HandoverHeartbeats
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.in_flight import InFlightJob, JobSettled, Outcome, Phase
from kafka_bridge.worker.runtime.intake import Intake
from kafka_bridge.worker.runtime.mailbox import Mailbox
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.pending_dead_letters import DeadLetterSink, PendingDeadLetters
from kafka_bridge.worker.runtime.publishing import Publishing


@dataclass(slots=True)
class Scheduler:
    """Runs the jobs of the assigned partitions: the one way into the runtime.

    :ivar assignment: the partitions, and the jobs in flight
    :ivar intake: the queued jobs
    :ivar capacity: the slots, and the executor
    """

    admission: Admission
    assignment: Assignment
    intake: Intake
    capacity: Capacity
    publishing: Publishing
    mailbox: Mailbox
    observer: Observer

    def work(self) -> None:
        """Run the pending calls of other threads; accept, reject and start jobs."""
        self.run_pending()
        self.capacity.work()
        if self.capacity.suspect_has_ended():
            self.intake.visit_all = True
        everyone, self.intake.visit_all = self.intake.visit_all, False
        slots = self.capacity.slots
        self.intake.backlog.sift(
            self._leaves_queue,
            until=lambda: not everyone and not slots.any_free(),
            is_open=lambda handler: everyone or slots.free_for(handler),
        )
        self.intake.backlog.sift_batches(self._leaves_queue, is_open=slots.has_seat)
        if slots.in_processes is not None:
            self.intake.backlog.sift_processes(
                self._leaves_queue, is_open=lambda handler: everyone or slots.free_for(handler)
            )

    def drain(self) -> None:
        """Do what a worker does that is stopping: accept nothing.

        The ledger is read on, so that jobs that other workers had begun get heartbeats until their
        partition is released. All other queued jobs are dropped, uncommitted: others do them.
        """
        self.run_pending()
        self.intake.backlog.clear_lanes()

    def run_pending(self) -> None:
        """Run the pending calls of other threads; accept nothing."""
        self.mailbox.run_pending()
        self.intake.dead_letters.run_pending()
        self.intake.read_ledger()

    @property
    def is_idle(self) -> bool:
        """Whether no job is queued or in flight."""
        return not self.intake.backlog and not self.assignment.in_flight

    def assigned(
        self, numbers: Iterable[int], finished: Mapping[int, FinishedRuns] | None = None
    ) -> None:
        """Begin with partitions that the group has assigned.

        :param finished: by partition, what is finished above its committed offset, where known
        """
        self.assignment.assigned(numbers, finished)

    def receive(self, arrived: Iterable[Received]) -> None:
        """Process requests that were consumed."""
        self.intake.receive(arrived)

    # One job.

    def _leaves_queue(self, job: InFlightJob) -> bool:
        """Do what is decided for a job; return False if it has to wait."""
        if self.assignment.in_flight.get(job.correlation_id, job) is not job:
            return False  # published twice: how the first one ends decides
        if job.is_over:  # while its request waited to be decided again
            if job.phase is Phase.LOST:
                self.intake.queue(job.requeued())
            return True
        decision = self.admission.decision(job)
        if decision is None:  # a later snapshot was read, and does not reach back to this request
            self.intake.backlog.undecided.append(job)
            return True
        return self._apply(decision, job)

    def _apply(self, decision: Decision, job: InFlightJob) -> bool:
        if isinstance(decision, Start) and job.is_queued:
            return self._start(job, decision)
        self.intake.handover.remove(job)
        match decision:
            case Skip():
                self.intake.skip_finished(job)
            case DeadLetter(error):
                self._dead_letter(job, error)
            case End() if job.is_queued:
                self._reject(job, decision)
            case _:
                self._reattach(job, decision.delivery)
        return True

    def _start(self, job: InFlightJob, start: Start) -> bool:
        """Accept a job, to be run once that is acknowledged; return False if it has to wait."""
        if not self.capacity.reserve(job, start.handler, suspect=start.suspect):
            return False
        self.intake.handover.remove(job)
        reporter = self.publishing.reporter(
            job, start.delivery, start.external_id, start.checkpoint
        )
        job.accept(start.handler, reporter, self.observer, self._when_settled())
        self.assignment.add(job)
        reporter.accepted(partial(self._accepted, job))
        self.observer.accepted(
            job.request.job_type,
            delivery=start.delivery,
            queued_seconds=max(0.0, time.time() - job.request.created_at.timestamp()),
        )
        return True

    def _accepted(self, job: InFlightJob, error: BaseException | None) -> None:
        if error is not None:
            self.mailbox.call_soon(self._not_accepted, job, error)
        elif job.try_enter(Phase.READY):
            self.capacity.submit(job)

    def _not_accepted(self, job: InFlightJob, error: BaseException) -> None:
        self.capacity.slots.free(job)
        self._settled(None, job, error)

    def _reject(self, job: InFlightJob, end: End) -> None:
        """End a job without a start."""
        reporter = self.publishing.reporter(job, end.delivery)
        outcome = Outcome(end.state, end.facts)
        job.reject(reporter, outcome, self.observer, self._when_settled(end.poison))
        self.assignment.add(job)

    def _reattach(self, job: InFlightJob, delivery: int) -> None:
        """Go on with a job whose partition was lost and has come back."""
        if delivery > job.reporter.delivery + 1:  # others have begun it meanwhile
            job.reporter.delivery = delivery
        job.ownership.is_owned = True
        self._stop_if_cancelled(job)

    def cancel(self, correlation_id: str) -> None:
        """Stop a job, or end it before it starts: a CANCEL for it was read."""
        job = self.assignment.in_flight.get(correlation_id)
        if job is not None:
            self._stop_if_cancelled(job)
        else:
            self.intake.visit_all = True

    def _stop_if_cancelled(self, job: InFlightJob) -> None:
        reason = self.admission.cancel_reason(job)
        if reason is not None:
            job.ask_to_stop(StopReason.CANCELLED, reason)

    # Its end.

    def handler_ended(self, job: InFlightJob) -> None:
        """Free the slot of a job whose handler has returned. Any thread may call this."""
        self.mailbox.call_soon(self.capacity.slots.free, job)

    def _when_settled(self, poison: BaseException | None = None) -> JobSettled:
        return partial(self.mailbox.call_soon, self._settled, poison)

    def _settled(
        self, poison: BaseException | None, job: InFlightJob, error: BaseException | None
    ) -> None:
        """Finish a job whose terminal event is on record, or never will be.

        :param poison: why the request goes to the dead-letter topic all the same
        """
        if error is None:
            self.admission.ledger.finished_here(job.correlation_id)
        if (reason := error or poison) is None:
            self.assignment.finish(job)
        else:
            self._dead_letter(job, reason)

    def _dead_letter(self, job: InFlightJob, error: BaseException) -> None:
        if job.try_enter(Phase.DEAD_LETTERING):  # else other workers have it
            self.intake.dead_letters.put(
                job.partition,
                job.received,
                error,
                done=lambda: self.assignment.finish(job),
                lost=lambda: self.assignment.abandon(job),
            )

    # Partitions.

    def lost(self, numbers: Iterable[int]) -> None:
        """Leave partitions that the group has given to others, or may have."""
        self.intake.forget(self.assignment.lost(numbers))


def assemble(
    admission: Admission,
    publishing: Publishing,
    capacity: Capacity,
    dead_letters: DeadLetterSink,
    heartbeats: Heartbeats,
    membership: Membership,
    mailbox: Mailbox,
    observer: Observer,
) -> Scheduler:
    """Return a scheduler that has no partitions yet."""
    assignment = Assignment(observer, heartbeats, capacity.slots, mailbox.call_soon)
    intake = Intake(
        assignment,
        Backlog(admission.handlers),
        admission,
        publishing,
        HandoverHeartbeats(heartbeats, publishing.worker_id),
        PendingDeadLetters(dead_letters, assignment, membership, mailbox.call_soon),
        membership,
    )
    scheduler = Scheduler(admission, assignment, intake, capacity, publishing, mailbox, observer)
    capacity.when_ended(scheduler.handler_ended)
    return scheduler
