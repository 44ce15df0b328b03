"""A worker at work: the process's life, and the one thread that polls.

That thread never waits for a job, so that ``max.poll.interval.ms`` is never missed however long a
job takes; when enough requests wait, it pauses its partitions and polls on.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.consumer import START_SECONDS, RequestConsumer
from kafka_bridge.kafka.control import ControlReader
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import DELIVERY_TIMEOUT, RecordProducer
from kafka_bridge.kafka.rereader import RequestRereader
from kafka_bridge.kafka.unreadable import SkippedBatches
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer, WorkerStatus
from kafka_bridge.worker.runtime.allocator import give_back_large_blocks
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.backlog import Backlog
from kafka_bridge.worker.runtime.claims import Claim
from kafka_bridge.worker.runtime.dead_letters import DeadLetters
from kafka_bridge.worker.runtime.executor import Executor, event_loop
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.job_run import JobRun
from kafka_bridge.worker.runtime.ledger import Ledger
from kafka_bridge.worker.runtime.mailbox import Mailbox
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.pending_dead_letters import Aside
from kafka_bridge.worker.runtime.scheduler import Scheduler
from kafka_bridge.worker.runtime.skipped_requests import PassedOver
from kafka_bridge.worker.runtime.slots import Slots
from kafka_bridge.worker.runtime.stand_ins import StandIns
from kafka_bridge.worker.runtime.topic_access import TopicAccess
from kafka_bridge.worker.settings import WorkerSettings

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
SHORT_POLL_SECONDS = 0.02
REREAD_SECONDS = 0.005
COMMIT_SECONDS = 0.5
HOLD_SECONDS = 0.5
"""How long the backlog must be full until the consumer is told to fetch no more."""
REVOKE_GRACE_SECONDS = 5.0
"""How long jobs may take to end before their partition goes to another worker, which waits."""
RELEASE_SECONDS = 5.0
"""How long the brokers may take to acknowledge that jobs are handed back."""


class Service:
    """Runs a worker once, from joining its group to leaving it.

    :param settings: with a ``worker_id``
    :param handlers: by job type
    :param on_ready: called once, when the first partitions are assigned
    :param stopping: set when the worker has to leave its group
    """

    def __init__(
        self,
        settings: WorkerSettings,
        handlers: Mapping[str, Handler],
        kafka_config: KafkaConfig,
        *,
        on_ready: Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        self._settings = settings
        self._worker_id = str(settings.worker_id)
        self._handlers = handlers
        self._config = kafka_config
        self._started = False
        self._on_ready = on_ready
        self._stopping = stopping
        self._mailbox = Mailbox()
        self._joined = False
        self._next_commit = 0.0
        self._full_since = 0.0

    def run(self, observer: Observer) -> None:
        """Work until told to stop.

        :param observer: is told what happens
        :raises KafkaError: Kafka cannot be used, and waiting would not help
        """
        give_back_large_blocks()
        settings, config = self._settings, self._config
        end_offsets(config, [settings.dead_letter_topic], START_SECONDS)
        with contextlib.ExitStack() as stack:
            self._membership = Membership(config.session_timeout)
            self._scheduler = self._make_scheduler(observer, stack)
            self._started = True
            self._scheduler.control.catch_up(START_SECONDS)
            self._consumer = RequestConsumer(
                config,
                settings.request_topic,
                settings.group_id,
                assigned=self._assigned,
                revoked=self._revoked,
                lost=self._lost,
                skipped=self._skipped,
            )
            try:
                self._take_jobs()
                self._finish_jobs()
            finally:
                self._consumer.close()

    def _make_scheduler(self, observer: Observer, stack: contextlib.ExitStack) -> Scheduler:
        """Return a scheduler with its threads and clients, which end with the stack."""
        settings, config = self._settings, self._config
        slots, backlog = Slots(settings.concurrency), Backlog(self._handlers)
        heartbeats = stack.enter_context(contextlib.closing(Heartbeats()))
        loop = stack.enter_context(event_loop())
        executor = Executor(settings.concurrency, loop, self._handler_ended)
        # No longer than the session: what was sent before a freeze must not go out after it.
        delivery_timeout = min(DELIVERY_TIMEOUT, config.session_timeout)
        producer = stack.enter_context(
            RecordProducer(config, delivery_timeout, served=executor.start_waiting)
        )
        control = stack.enter_context(contextlib.closing(self._control_reader(observer)))
        access = TopicAccess([settings.response_topic])
        dead_letters = DeadLetters(producer, settings.dead_letter_topic, self._worker_id, observer)
        assignment = Assignment(observer, heartbeats, slots, self._mailbox.call_soon)
        rereader = stack.enter_context(
            contextlib.closing(RequestRereader(config, settings.request_topic))
        )
        self._passed_over = PassedOver(rereader, assignment, backlog)
        return Scheduler(
            handlers=self._handlers,
            worker_id=self._worker_id,
            max_deliveries=settings.max_deliveries,
            producer=producer,
            control=control,
            ledger=Ledger(config, control, observer, self._mailbox.call_soon, access),
            executor=executor,
            assignment=assignment,
            membership=self._membership,
            observer=observer,
            mailbox=self._mailbox,
            slots=slots,
            access=access,
            backlog=backlog,
            stand_ins=StandIns(heartbeats, self._worker_id),
            aside=Aside(dead_letters, assignment, self._membership, self._mailbox.call_soon),
        )

    def _control_reader(self, observer: Observer) -> ControlReader:
        return ControlReader(
            self._config,
            self._settings.control_topic,
            lambda job: self._mailbox.call_soon(self._cancel, job),
            timeout=START_SECONDS,
            skipped=lambda skipped: observer.unreadable(skipped.offsets),
        )

    def _cancel(self, job: str) -> None:
        # The control topic is read from before there is a scheduler; mailbox are done after that.
        self._scheduler.cancel(job)

    def _handler_ended(self, run: JobRun) -> None:
        self._mailbox.call_soon(self._scheduler.handler_ended, run)

    @property
    def status(self) -> WorkerStatus:
        """What the worker is like at this moment. Any thread may ask."""
        if not self._started:
            return WorkerStatus(0, 0, 0, ready=False, seconds_since_poll=0.0)
        scheduler = self._scheduler
        return WorkerStatus(
            running=scheduler.executor.running,
            waiting=len(scheduler.backlog),
            partitions=len(scheduler.assignment.partitions),
            ready=self._joined and not scheduler.ledger.is_reading,
            seconds_since_poll=self._membership.seconds_since_poll,
        )

    @property
    def has_joined(self) -> bool:
        """Whether the worker has been a member of its group."""
        return self._joined

    # Taking jobs.

    def _take_jobs(self) -> None:
        scheduler, backlog = self._scheduler, self._scheduler.backlog
        while not self._stopping.is_set():
            scheduler.work()
            if backlog:
                scheduler.producer.serve_reports()
            else:
                scheduler.producer.leave_reports()
            self._passed_over.bring_back(scheduler.intake.receive_again)
            holds_off = self._holds_off()
            is_busy = bool(backlog) or self._passed_over.is_reading or holds_off
            arrived = not holds_off and self._poll(0 if is_busy else POLL_SECONDS)
            if is_busy and not arrived:
                scheduler.producer.leave_reports()
                self._mailbox.wait(self._pause())

    def _pause(self) -> float:
        """Return how long to wait, at the most, for something to happen in this process."""
        if self._passed_over.is_reading:
            return REREAD_SECONDS
        # Where a place is free, only one type waits: requests of others may come at any moment.
        return SHORT_POLL_SECONDS if self._scheduler.slots.any_free() else POLL_SECONDS

    def _holds_off(self) -> bool:
        """Tell whether to leave the consumer alone for a moment: enough requests wait.

        Where they wait longer, partitions are held, and the consumer is polled. That is not done at
        once, since a consumer forgets what it has fetched of a partition that is held. Some are not
        held: those that have to be read on all the same.
        """
        now, intake = time.monotonic(), self._scheduler.intake
        held, is_full = intake.held(), intake.is_full
        if not is_full:
            self._full_since = now
        are_all_held = len(held) == len(self._scheduler.assignment.partitions)
        if is_full and are_all_held and now - self._full_since <= HOLD_SECONDS:
            return True
        self._consumer.hold(held)
        return False

    def _poll(self, timeout: float) -> bool:
        """Poll, and do what has to be done from time to time; tell whether requests came."""
        self._membership.about_to_poll()
        records = self._consumer.poll(timeout)
        self._scheduler.intake.receive(records)
        self._scheduler.control.check()
        self._scheduler.producer.check()
        if self._membership.in_doubt:
            assignment = self._scheduler.assignment
            positions = assignment.positions(assignment.partitions)
            if self._consumer.is_member(positions, self._membership.doubts):
                self._membership.confirmed()
        if time.monotonic() >= self._next_commit:
            self._next_commit = time.monotonic() + COMMIT_SECONDS
            self._commit()
        return bool(records)

    def _commit(self) -> None:
        """Commit what has moved; all, where the last time failed, as in a rebalance it may."""
        assignment = self._scheduler.assignment
        moved = assignment.moved_positions()
        again = self._consumer.has_failed_to_commit()
        self._consumer.commit(assignment.positions(assignment.partitions) if again else moved)

    # Stopping.

    def _finish_jobs(self) -> None:
        """Stay in the group, taking nothing new, until all jobs end or the grace is over."""
        scheduler, grace = self._scheduler, self._settings.grace
        scheduler.backlog.clear()  # uncommitted: others will do these
        why = f"worker {self._worker_id} shuts down"
        scheduler.assignment.release(
            [each for each in scheduler.assignment.in_flight.values() if _has_not_begun(each)], why
        )
        if scheduler.assignment.in_flight:
            _log.info(
                "Stopping: %d jobs get %g s to finish", len(scheduler.assignment.in_flight), grace
            )
        self._until_done(lambda: bool(scheduler.assignment.in_flight), grace, self._poll_held)
        left = list(scheduler.assignment.in_flight.values())
        if left:
            _log.warning("%d jobs are unfinished and handed back: others will do them", len(left))
            scheduler.assignment.release(left, why)
            self._until_done(
                lambda: bool(scheduler.assignment.in_flight), RELEASE_SECONDS, self._poll_held
            )
        self._consumer.commit(
            scheduler.assignment.positions(scheduler.assignment.partitions), wait=True
        )

    def _poll_held(self) -> None:
        self._consumer.hold(self._scheduler.assignment.partitions.keys())
        self._poll(0)
        self._scheduler.backlog.clear()

    def _until_done(
        self, busy: Callable[[], bool], seconds: float, meanwhile: Callable[[], None]
    ) -> None:
        """Do what other threads post until nothing is left to wait for, or the time is over."""
        self._scheduler.producer.leave_reports()
        give_up = time.monotonic() + seconds
        while busy() and time.monotonic() < give_up:
            meanwhile()
            self._mailbox.wait(POLL_SECONDS)
            self._mailbox.run_pending()
            self._scheduler.aside.run_pending()

    # Partitions come and go, within poll() and close().

    def _assigned(self, numbers: Iterable[int]) -> None:
        self._scheduler.assignment.assigned(numbers)
        if not self._joined:
            self._joined = True
            self._on_ready()

    def _revoked(self, numbers: Iterable[int]) -> None:
        """Let the jobs of these partitions end, or hand them back, before others get them."""
        numbers = list(numbers)
        scheduler = self._scheduler
        leaving = [scheduler.assignment.partitions[each] for each in numbers]
        scheduler.forget_waiting(leaving)

        def jobs() -> list[Claim]:
            return scheduler.assignment.jobs_of(leaving)

        def may_end() -> bool:
            # No answer of the group arrives in here: who may not speak now will not be allowed to.
            return any(each.may_publish() for each in jobs())

        why = f"another worker takes over from {self._worker_id}"
        scheduler.assignment.release([each for each in jobs() if _has_not_begun(each)], why)
        self._until_done(may_end, REVOKE_GRACE_SECONDS, self._membership.about_to_poll)
        scheduler.assignment.release(jobs(), why)
        self._until_done(may_end, RELEASE_SECONDS, self._membership.about_to_poll)
        self._consumer.commit(scheduler.assignment.positions(numbers), wait=True)
        scheduler.assignment.forget(numbers)

    def _skipped(self, skipped: SkippedBatches) -> None:
        self._scheduler.observer.unreadable(skipped.offsets)
        self._scheduler.assignment.skipped(skipped.partition, skipped.end)

    def _lost(self, numbers: Iterable[int]) -> None:
        _log.warning(
            "Partitions lost: the group has gone on without this worker. "
            "Events of its jobs are held until it has joined again"
        )
        self._scheduler.lost(numbers)


def _has_not_begun(claim: Claim) -> bool:
    return claim.run is not None and claim.run.began is None
