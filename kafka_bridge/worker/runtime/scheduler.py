"""Which request is seen to when: from its turn until its offset may be committed.

Everything here happens on the polling thread. What happens on others (a handler has ended, the
brokers have an event) is posted to that thread and done in :meth:`Scheduler.work`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from kafka_bridge.kafka.control import ControlReader
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.ids import EventIds
from kafka_bridge.protocol.messages import JobState, utc_now
from kafka_bridge.worker.cancellation import StopReason
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.admission import Decision, End, SetAside, Skip, Start, decide
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.backlog import Backlog
from kafka_bridge.worker.runtime.claims import Claim, Partition
from kafka_bridge.worker.runtime.executor import Executor
from kafka_bridge.worker.runtime.intake import Intake
from kafka_bridge.worker.runtime.job_run import JobRun, reason_of
from kafka_bridge.worker.runtime.ledger import Ledger
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, Unfinished
from kafka_bridge.worker.runtime.mailbox import Mailbox
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.pending_dead_letters import Aside
from kafka_bridge.worker.runtime.reporter import JobReporter
from kafka_bridge.worker.runtime.slots import Slots
from kafka_bridge.worker.runtime.stand_ins import StandIns
from kafka_bridge.worker.runtime.topic_access import TopicAccess

GIVE_WAY_SECONDS = 0.02
"""How long accepted jobs may keep the polling thread from taking new ones: a fifth of the time for
which jobs are accepted ahead, so that these never run out meanwhile."""


@dataclass(slots=True)
class Scheduler:
    """Sees to the requests of the partitions that this worker has."""

    handlers: Mapping[str, Handler]
    worker_id: str
    max_deliveries: int
    producer: RecordProducer
    control: ControlReader
    ledger: Ledger
    executor: Executor
    assignment: Assignment
    membership: Membership
    observer: Observer
    mailbox: Mailbox
    slots: Slots
    backlog: Backlog
    stand_ins: StandIns
    aside: Aside
    access: TopicAccess = field(default_factory=TopicAccess)
    intake: Intake = field(init=False)
    _event_ids: EventIds = field(default_factory=EventIds)
    _suspect: Claim | None = None

    def __post_init__(self) -> None:
        self.intake = Intake(
            self.assignment,
            self.backlog,
            self.ledger,
            self.control,
            self.aside,
            self.stand_ins,
            self.membership,
            reporter_of=self._stand_in_reporter,
            then=self._ledger_read,
        )

    def work(self) -> None:
        """Do what other threads have asked for, and see to the requests that can be."""
        self.mailbox.run_pending()
        self.aside.run_pending()
        if self.backlog.undecided:
            self.intake.learn()
        self.executor.start_waiting()
        self.executor.give_way(GIVE_WAY_SECONDS)
        self.slots.look(self.executor.started)
        if self._suspect is not None and not self._is_in_flight(self._suspect):
            self._suspect, self.intake.look_at_all = None, True
        everyone, self.intake.look_at_all = self.intake.look_at_all, False
        self.backlog.sift(
            self._see_to,
            until=lambda: not everyone and not self.slots.any_free(),
            is_open=lambda handler: everyone or self.slots.free_for(handler),
        )

    def _is_in_flight(self, claim: Claim) -> bool:
        return self.assignment.in_flight.get(claim.correlation_id) is claim

    def _see_to(self, claim: Claim) -> bool:
        """See to a request, and tell whether it need not wait any longer."""
        if self.assignment.in_flight.get(claim.correlation_id, claim) is not claim:
            return False  # published twice: the first one's end will tell
        decision = self._decision(claim)
        if isinstance(decision, Start | End) and claim.run is not None:
            self._take_up_again(claim, claim.run, decision)
        elif isinstance(decision, Start):
            return self._start(claim, decision)
        elif isinstance(decision, End):
            self._end(claim, decision)
        elif isinstance(decision, Skip):
            self.stand_ins.remove(claim)
            self.assignment.skip(claim)
        elif isinstance(decision, SetAside):
            self.stand_ins.remove(claim)
            self._set_aside(claim, decision.error)
        else:  # a later snapshot was read, and does not reach back to this request
            self.backlog.undecided.append(claim)
        return True

    def _decision(self, claim: Claim) -> Decision | None:
        """Return what is to be done, or None where the ledger has to be read for that."""
        if self.ledger.is_finished_here(claim.correlation_id):
            return Skip()
        snapshot = self.ledger.snapshot_for(claim.request, claim.partition.epoch)
        if snapshot is None:
            return None
        return decide(
            claim.request,
            snapshot,
            self.handlers,
            cancelled=self.control.reasons.get(claim.correlation_id),
            max_deliveries=self.max_deliveries,
            now=utc_now(),
        )

    def _ledger_read(self, snapshot: LedgerSnapshot) -> None:
        """Give up the jobs in flight that somebody else has ended."""
        for claim in list(self.assignment.in_flight.values()):
            if claim.correlation_id.encode() in snapshot.finished and not claim.has_sent_end:
                self.assignment.give_up(claim)
                self.assignment.done(claim)

    def _end(self, claim: Claim, end: End) -> None:
        """End a job that is not started."""

        def settled(state: JobState, error: BaseException | None) -> None:
            if error is None:
                self.observer.ended(claim.request.job_type, state, 0.0)
                reason = reason_of(end.facts)
                self.observer.job_log.ended(claim.request, state, 0.0, reason)
            self.mailbox.call_soon(self._settled, claim, error, end.poison)

        self._take_in_flight(claim, end.delivery).finished(end.state, settled, **end.facts)

    def _start(self, claim: Claim, start: Start) -> bool:
        """Accept a job, to be run once the brokers have that; False where it has to wait."""
        if not self.slots.free_for(start.handler) or (start.suspect and self._suspect is not None):
            return False
        if start.suspect:
            self._suspect = claim
        reporter = self._take_in_flight(claim, start.delivery, start.external_id)
        run = claim.run = JobRun(
            claim.request,
            start.handler,
            reporter,
            self.observer,
            settled=partial(self.mailbox.call_soon, self._settled, claim),
        )
        self.slots.take(run)
        reporter.accepted(partial(self._accepted, claim, run))
        self.observer.accepted(
            claim.request.job_type,
            delivery=start.delivery,
            queued_seconds=max(0.0, time.time() - claim.request.created_at.timestamp()),
        )
        return True

    def _accepted(self, claim: Claim, run: JobRun, error: BaseException | None) -> None:
        if error is None:
            self.executor.submit(run)
        else:
            self.mailbox.call_soon(self._not_accepted, claim, run, error)

    def _not_accepted(self, claim: Claim, run: JobRun, error: BaseException) -> None:
        self.handler_ended(run)
        self._settled(claim, error)

    def _take_up_again(self, claim: Claim, run: JobRun, decision: Start | End) -> None:
        """Go on with a job whose partition was lost and has come back."""
        if decision.delivery > run.reporter.delivery + 1:  # others have begun it meanwhile
            run.reporter.delivery = decision.delivery
        claim.is_ours = True
        self._cancel_if_asked(claim)

    def _take_in_flight(
        self, claim: Claim, delivery: int, external_id: str | None = None
    ) -> JobReporter:
        self.stand_ins.remove(claim)
        reporter = claim.reporter = self._reporter(claim, delivery, external_id)
        self.assignment.take(claim)
        return reporter

    def _stand_in_reporter(self, claim: Claim, before: Unfinished) -> JobReporter:
        """Return what speaks for a job while it waits here: as the delivery that broke off."""
        reporter = self._reporter(claim, before.delivery, before.external_id)
        reporter.sequence = before.sequence + 1
        return reporter

    def _reporter(self, claim: Claim, delivery: int, external_id: str | None) -> JobReporter:
        return JobReporter(
            self.producer,
            claim.request,
            claim.encoding,
            self.worker_id,
            may_publish=claim.may_publish,
            delivery=delivery,
            external_id=external_id,
            new_event_id=self._event_ids,
            request_headers=claim.received.headers,
            access=self.access,
        )

    def cancel(self, correlation_id: str) -> None:
        """Stop a job, or end it before it starts; a CANCEL for it was read."""
        claim = self.assignment.in_flight.get(correlation_id)
        if claim is not None:
            self._cancel_if_asked(claim)
        else:
            self.intake.look_at_all = True

    def _cancel_if_asked(self, claim: Claim) -> None:
        reason = self.control.reasons.get(claim.correlation_id)
        if reason is not None and claim.run is not None:
            claim.run.ask_to_stop(StopReason.CANCELLED, reason)

    # Requests are done with.

    def handler_ended(self, run: JobRun) -> None:
        """Let another job have the place of this one."""
        self.slots.give_back(run)

    def _settled(
        self,
        claim: Claim,
        error: BaseException | None,
        poison: BaseException | None = None,
    ) -> None:
        """Go on once the job's end is on record, or cannot be."""
        if error is None:
            self.ledger.finished_here(claim.correlation_id)
        if (reason := error or poison) is None:
            self.assignment.done(claim)
        else:
            self._set_aside(claim, reason)

    def _set_aside(self, claim: Claim, error: BaseException) -> None:
        self.aside.put(
            claim.partition,
            claim.received,
            error,
            done=lambda: self.assignment.done(claim),
            lost=lambda: self.assignment.give_up(claim),
        )

    # Partitions go.

    def forget_waiting(self, partitions: Iterable[Partition]) -> None:
        """Forget the requests of partitions that wait: others will see to them."""
        gone = set(map(id, partitions))
        self.backlog.drop(partitions)
        self.stand_ins.drop(lambda claim: id(claim.partition) in gone)

    def lost(self, numbers: Iterable[int]) -> None:
        """Leave partitions that the group has given to others, or may have."""
        self.forget_waiting(self.assignment.lost(numbers))
