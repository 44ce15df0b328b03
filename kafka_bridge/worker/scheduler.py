"""Which request is seen to when: from its arrival until its offset may be committed.

Everything here happens on the polling thread. What happens on others (a handler has ended, the
brokers have an event) is posted to that thread and done in :meth:`Scheduler.work`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kafka_bridge.kafka.control import ControlReader
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.codec import detect
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.ids import EventIds
from kafka_bridge.protocol.messages import JobRequest, utc_now
from kafka_bridge.worker.claims import Backlog, Claim, Partition
from kafka_bridge.worker.dead_letters import DeadLetters
from kafka_bridge.worker.execution import Executor
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.heartbeats import Heartbeats
from kafka_bridge.worker.job_run import JobRun
from kafka_bridge.worker.ledger import Ledger, Page
from kafka_bridge.worker.observation import Observer
from kafka_bridge.worker.reporter import JobReporter
from kafka_bridge.worker.slots import Slots
from kafka_bridge.worker.standing import Standing
from kafka_bridge.worker.stopping import StopReason
from kafka_bridge.worker.triage import End, SetAside, Skip, Start, Verdict, judge


class Posts:
    """What other threads have the polling thread do."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._come = threading.Event()

    def post(self, call: Callable[[], None]) -> None:
        """Have this called on the polling thread, soon."""
        self._calls.append(call)
        if not self._come.is_set():
            self._come.set()

    def wait(self, seconds: float) -> None:
        """Wait until something is posted."""
        self._come.wait(seconds)

    def work_off(self) -> None:
        """Do what was posted."""
        self._come.clear()
        while self._calls:
            self._calls.popleft()()


@dataclass(slots=True)
class Scheduler:
    """Sees to the requests of the partitions that this worker has.

    ``epoch`` numbers the assignments. ``in_hand`` are the jobs that are accepted, or ended without
    that, and whose end is not on record yet, by correlation id.
    """

    handlers: Mapping[str, Handler]
    worker_id: str
    max_deliveries: int
    producer: RecordProducer
    control: ControlReader
    ledger: Ledger
    dead_letters: DeadLetters
    executor: Executor
    heartbeats: Heartbeats
    standing: Standing
    observer: Observer
    posts: Posts
    slots: Slots
    epoch: int = 0
    partitions: dict[int, Partition] = field(default_factory=dict)
    in_hand: dict[str, Claim] = field(default_factory=dict)
    backlog: Backlog = field(default_factory=Backlog)
    _lost: dict[int, Partition] = field(default_factory=dict)
    _event_ids: EventIds = field(default_factory=EventIds)
    _suspect: Claim | None = None
    _look_at_all: bool = False

    # Requests come in.

    def receive(self, arrived: Iterable[Received]) -> None:
        """Take in requests that have arrived."""
        for received in arrived:
            partition = self.partitions[received.partition]
            partition.positions.take(received.offset)
            if received.value is None:  # a tombstone asks for nothing
                partition.positions.finish(received.offset)
            else:
                self._take_in(partition, received)

    def _take_in(self, partition: Partition, received: Received) -> None:
        offset = received.offset
        try:
            request = received.decode(JobRequest)
        except RemoteProtocolError as error:
            self.dead_letters.tell_sender(received.record, error)
            self._set_aside(received, error, lambda: partition.positions.finish(offset))
            return
        claim = self._orphan(partition, offset) or Claim(
            partition, received, request, detect(received.value)
        )
        # These need no slot, so they must not wait for one.
        if claim.run is not None or claim.correlation_id in self.control.reasons:
            self._look_at_all = True
        self.backlog.add(claim)

    def _orphan(self, partition: Partition, offset: int) -> Claim | None:
        """Return the job in hand whose request has come again; those passed over were not ours."""
        for passed in [each for each in partition.orphans if each < offset]:
            self._give_up(partition.orphans.pop(passed))
        return partition.orphans.pop(offset, None)

    # Requests are seen to.

    def work(self) -> None:
        """Do what other threads have asked for, and see to the requests that can be."""
        self.posts.work_off()
        self.executor.start_waiting()
        self.slots.look(self.executor.started)
        everyone, self._look_at_all = self._look_at_all, False
        self.backlog.sift(self._see_to, until=lambda: not everyone and not self.slots.any_free())

    def _see_to(self, claim: Claim) -> bool:
        """See to a request, and tell whether it need not wait any longer."""
        if self.in_hand.get(claim.correlation_id, claim) is not claim:
            return False  # published twice: the first one's end will tell
        verdict = self._verdict(claim)
        if isinstance(verdict, Start | End) and claim.run is not None:
            self._take_up_again(claim, claim.run, verdict)
        elif isinstance(verdict, Start):
            return self._start(claim, verdict)
        elif isinstance(verdict, End):
            self._end(claim, verdict)
        elif isinstance(verdict, Skip):
            self._skip(claim)
        elif isinstance(verdict, SetAside):
            self._set_aside(claim.received, verdict.error, lambda: self._done(claim))
        return verdict is not None

    def _verdict(self, claim: Claim) -> Verdict | None:
        """Return what is to be done, or None where that has yet to be learnt."""
        if self.ledger.is_finished_here(claim.correlation_id):
            return Skip()
        page = self.ledger.page_for(claim.request, claim.partition.epoch)
        if page is None:
            self._read_ledger(claim.request)
            return None
        return judge(
            claim.request,
            page,
            self.handlers,
            cancelled=self.control.reasons.get(claim.correlation_id),
            max_deliveries=self.max_deliveries,
            now=utc_now(),
        )

    def _read_ledger(self, request: JobRequest) -> None:
        """Read what this request's response topic says, for it and for those that wait behind."""
        topic = request.response_topic
        if self.ledger.may_read(topic):
            waiting = [each.request for each in self.backlog]  # this one is just taken out of it
            asking = [request, *(each for each in waiting if each.response_topic == topic)]
            # A sender's clock may be wrong: nothing was said later than now.
            oldest = min(utc_now(), *(each.created_at for each in asking))
            self.ledger.read(topic, oldest, self.epoch, self._ledger_read)

    def _ledger_read(self, page: Page) -> None:
        """Give up the jobs in hand that somebody has ended; look at all that waited for this."""
        self._look_at_all = True
        for claim in list(self.in_hand.values()):
            if claim.correlation_id.encode() in page.finished:
                self._give_up(claim)
                self._done(claim)

    def _skip(self, claim: Claim) -> None:
        self.observer.skipped()
        if claim.run is not None:
            self._give_up(claim)
        self._done(claim)

    def _end(self, claim: Claim, end: End) -> None:
        """End a job that is not started."""

        def settled(error: BaseException | None) -> None:
            if error is None:
                self.observer.ended(claim.request.job_type, end.state, 0.0)
            self.posts.post(lambda: self._settled(claim, error, end.poison))

        self._take_in_hand(claim, end.delivery).finished(end.state, settled, **end.facts)

    def _start(self, claim: Claim, start: Start) -> bool:
        """Accept a job, to be run once the brokers have that; False where it has to wait."""
        if not self.slots.free_for(start.handler) or (start.suspect and self._suspect is not None):
            return False
        if start.suspect:
            self._suspect = claim
        reporter = self._take_in_hand(claim, start.delivery)
        run = claim.run = JobRun(
            claim.request,
            start.handler,
            reporter,
            self.observer,
            settled=lambda error: self.posts.post(lambda: self._settled(claim, error)),
        )
        self.slots.take(run)

        def accepted(error: BaseException | None) -> None:
            if error is None:
                self.executor.submit(run)
            else:
                self.posts.post(lambda: self._not_accepted(claim, run, error))

        reporter.accepted(accepted)
        self.observer.accepted(
            claim.request.job_type,
            delivery=start.delivery,
            queued_seconds=max(0.0, time.time() - claim.request.created_at.timestamp()),
        )
        return True

    def _not_accepted(self, claim: Claim, run: JobRun, error: BaseException) -> None:
        self.handler_ended(run)
        self._settled(claim, error)

    def _take_up_again(self, claim: Claim, run: JobRun, verdict: Start | End) -> None:
        """Go on with a job whose partition was lost and has come back."""
        if verdict.delivery > run.reporter.delivery + 1:  # others have begun it meanwhile
            run.reporter.delivery = verdict.delivery
        claim.is_ours = True
        self._cancel_if_asked(claim)

    def _take_in_hand(self, claim: Claim, delivery: int) -> JobReporter:
        reporter = claim.reporter = JobReporter(
            self.producer,
            claim.request,
            claim.encoding,
            self.worker_id,
            may_speak=lambda: claim.is_ours and self.standing.may_speak(),
            delivery=delivery,
            new_event_id=self._event_ids,
        )
        self.in_hand[claim.correlation_id] = claim
        self.heartbeats.add(claim)
        return reporter

    def cancel(self, correlation_id: str) -> None:
        """Stop a job, or end it before it starts; a CANCEL for it was read."""
        claim = self.in_hand.get(correlation_id)
        if claim is not None:
            self._cancel_if_asked(claim)
        else:
            self._look_at_all = True

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
            self._done(claim)
        else:
            self._set_aside(claim.received, reason, lambda: self._done(claim))

    def _set_aside(
        self, received: Received, error: BaseException, done: Callable[[], None]
    ) -> None:
        self.dead_letters.set_aside(received.record, error, lambda: self.posts.post(done))

    def _done(self, claim: Claim) -> None:
        """Nothing is left to do for a request: its offset may be committed."""
        self._put_down(claim)
        claim.partition.positions.finish(claim.offset)

    def _give_up(self, claim: Claim) -> None:
        """Leave a job to others, in silence."""
        self.observer.given_up(claim.request.job_type)
        claim.give_up()
        self._put_down(claim)

    def _put_down(self, claim: Claim) -> None:
        self.heartbeats.remove(claim)
        claim.partition.orphans.pop(claim.offset, None)
        if claim.run is not None and claim.run.began is None:
            self.slots.give_back(claim.run)  # told to stop before it began: it never will
        if self.in_hand.get(claim.correlation_id) is claim:
            del self.in_hand[claim.correlation_id]
            self._look_at_all = self._look_at_all or claim is self._suspect
        if claim is self._suspect:
            self._suspect = None

    # Partitions come and go.

    def assigned(self, numbers: Iterable[int]) -> None:
        """Take over partitions; jobs of lost ones that do not come back are given up."""
        self.epoch += 1
        for number in numbers:
            partition = self.partitions[number] = Partition(self.epoch)
            for claim in self.jobs_of([self._lost.pop(number, partition)]):
                claim.partition = partition
                partition.orphans[claim.offset] = claim
        for claim in self.jobs_of(self._lost.values()):
            self._give_up(claim)
        self._lost.clear()

    def lost(self, numbers: Iterable[int]) -> None:
        """Let the jobs of these partitions run on, unheard: the group may give them back.

        Those that were ended without a start have nothing to lose: they are judged anew.
        """
        gone = {number: self.partitions.pop(number) for number in numbers}
        self._lost |= gone
        self.backlog.drop(gone.values())
        for claim in self.jobs_of(gone.values()):
            claim.is_ours = False
            if claim.run is None:
                self._give_up(claim)

    def forget(self, numbers: Iterable[int]) -> None:
        """Leave partitions to others. Jobs of theirs that could not be handed back are given up."""
        gone = [self.partitions.pop(number) for number in numbers]
        for claim in self.jobs_of(gone):
            self._give_up(claim)

    def jobs_of(self, partitions: Iterable[Partition]) -> list[Claim]:
        """Return the jobs in hand of these partitions."""
        wanted = set(map(id, partitions))
        return [each for each in self.in_hand.values() if id(each.partition) in wanted]

    def release(self, claims: Sequence[Claim], why: str) -> None:
        """Hand jobs back: others will do them. Whose end is on its way is left to end."""
        for claim in claims:
            if not claim.is_ours:
                self._give_up(claim)
            elif claim.run is not None:
                claim.run.release(why, lambda _, claim=claim: self._released(claim))  # type: ignore[misc]

    def _released(self, claim: Claim) -> None:
        self.posts.post(lambda: self._put_down(claim))

    def positions(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return by partition the offset to go on from, where anything was taken."""
        known = {n: self.partitions[n].positions.position for n in numbers if n in self.partitions}
        return {number: at for number, at in known.items() if at is not None}

    def moved_positions(self) -> dict[int, int]:
        """Return the positions that have moved since this was last asked."""
        moved = {number: each.positions.to_commit() for number, each in self.partitions.items()}
        return {number: at for number, at in moved.items() if at is not None}
