"""Runs a worker from joining its consumer group to leaving it, on the one thread that polls.

That thread never waits for a job, so ``max.poll.interval.ms`` is met however long a job takes. When
enough requests are queued, it pauses its partitions and polls on.
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
from kafka_bridge.protocol.messages import utc_now
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer, Waiting, WorkerStatus
from kafka_bridge.worker.runtime.admission import Admission
from kafka_bridge.worker.runtime.allocator import release_large_blocks
from kafka_bridge.worker.runtime.capacity import capacity_for
from kafka_bridge.worker.runtime.dead_letters import DeadLetters
from kafka_bridge.worker.runtime.earlier_commits import finished_above
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.ledger import Ledger
from kafka_bridge.worker.runtime.mailbox import Mailbox
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.publishing import Publishing
from kafka_bridge.worker.runtime.scheduler import Scheduler, assemble
from kafka_bridge.worker.runtime.skipped_requests import SkippedRequests
from kafka_bridge.worker.runtime.surroundings import Surroundings
from kafka_bridge.worker.runtime.topic_access import TopicAccess
from kafka_bridge.worker.settings import WorkerSettings

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
SHORT_POLL_SECONDS = 0.02
REREAD_SECONDS = 0.005
COMMIT_SECONDS = 0.5
HOLD_SECONDS = 0.5
"""How long the backlog must be full before partitions are paused."""
REVOKE_GRACE_SECONDS = 5.0
"""How long jobs may take to end before their partition goes to another worker, which waits."""
RELEASE_SECONDS = 5.0
"""How long the brokers may take to acknowledge RELEASED events."""


class Service:
    """Runs a worker once, from joining its group to leaving it.

    :param settings: with a ``worker_id``
    :param handlers: by job type
    :param on_ready: called once, when the first partitions are assigned
    :param stopping: set when the worker has to leave its group
    :param surroundings: what all jobs share
    """

    def __init__(
        self,
        settings: WorkerSettings,
        handlers: Mapping[str, Handler],
        kafka_config: KafkaConfig,
        *,
        on_ready: Callable[[], None],
        stopping: threading.Event,
        surroundings: Surroundings,
    ) -> None:
        self._settings = settings
        self._worker_id = str(settings.worker_id)
        self._handlers = handlers
        self._config = kafka_config
        self._started = False
        self._on_ready = on_ready
        self._stopping = stopping
        self._surroundings = surroundings
        self._mailbox = Mailbox()
        self._joined = False
        self._next_commit = 0.0
        self._full_since = 0.0

    def run(self, observer: Observer) -> None:
        """Run until ``stopping`` is set, or a signal comes.

        :param observer: notified of what happens
        :raises KafkaError: Kafka cannot be used, and waiting would not help
        """
        release_large_blocks()
        settings, config = self._settings, self._config
        end_offsets(config, [settings.dead_letter_topic], START_SECONDS)
        with contextlib.ExitStack() as stack:
            self._membership = Membership(config.session_timeout)
            self._scheduler = self._make_scheduler(observer, stack)
            rereader = stack.enter_context(
                contextlib.closing(RequestRereader(config, settings.request_topic))
            )
            self._skipped_requests = SkippedRequests(
                rereader, self._scheduler.assignment, self._scheduler.intake.backlog
            )
            self._started = True
            self._control.catch_up(START_SECONDS)
            self._consumer = RequestConsumer(
                config,
                settings.request_topic,
                settings.group_id,
                assigned=self._assigned,
                revoked=self._revoked,
                lost=self._lost,
                skipped=self._unreadable,
            )
            try:
                self._run_jobs()
                self._finish_jobs()
            finally:
                self._consumer.close()

    def _make_scheduler(self, observer: Observer, stack: contextlib.ExitStack) -> Scheduler:
        """Return a scheduler with its threads and clients, which end with the stack."""
        settings, config, mailbox = self._settings, self._config, self._mailbox
        heartbeats = stack.enter_context(contextlib.closing(Heartbeats()))
        capacity = capacity_for(settings, self._handlers, self._surroundings)
        # No longer than the session: what was sent before a freeze must not go out after it.
        delivery_timeout = min(DELIVERY_TIMEOUT, config.session_timeout)
        self._producer = stack.enter_context(
            RecordProducer(config, delivery_timeout, served=capacity.start_waiting)
        )
        self._control = stack.enter_context(contextlib.closing(self._control_reader(observer)))
        access = TopicAccess([settings.response_topic])
        self._ledger = Ledger(config, self._control, observer, mailbox.call_soon, access)
        return assemble(
            Admission(self._handlers, settings.max_deliveries, self._ledger, self._control),
            Publishing(self._producer, self._worker_id, access),
            capacity,
            DeadLetters(self._producer, settings.dead_letter_topic, self._worker_id, observer),
            heartbeats,
            self._membership,
            mailbox,
            observer,
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
        # The control topic is read before there is a scheduler; the mailbox is emptied after that.
        self._scheduler.cancel(job)

    @property
    def status(self) -> WorkerStatus:
        """The state of the worker at this moment. Any thread may ask."""
        if not self._started:
            return WorkerStatus()
        scheduler = self._scheduler
        capacity, now = scheduler.capacity, utc_now()
        return WorkerStatus(
            running=capacity.running,
            waiting={
                job_type: Waiting(number, max(0.0, (now - oldest).total_seconds()))
                for job_type, (number, oldest) in scheduler.intake.backlog.waiting().items()
            },
            slots=capacity.most,
            # Quick jobs are accepted ahead of a slot.
            slots_free=max(0, capacity.most - capacity.taken),
            partitions=len(scheduler.assignment.partitions),
            ready=self._joined and not self._ledger.is_reading,
            seconds_since_poll=self._membership.seconds_since_poll,
        )

    @property
    def has_joined(self) -> bool:
        """Whether the worker has been a member of its group."""
        return self._joined

    # Running jobs.

    def _run_jobs(self) -> None:
        scheduler, backlog = self._scheduler, self._scheduler.intake.backlog
        while not self._stopping.is_set():
            scheduler.work()
            if backlog:
                self._producer.serve_reports()
            else:
                self._producer.leave_reports()
            self._skipped_requests.read_again(scheduler.intake.receive_again)
            holds_off = self._holds_off()
            is_busy = bool(backlog) or self._skipped_requests.is_reading or holds_off
            arrived = not holds_off and self._poll(0 if is_busy else POLL_SECONDS)
            if is_busy and not arrived:
                self._producer.leave_reports()
                self._mailbox.wait(self._pause())

    def _pause(self) -> float:
        """Return how long to wait, at most, for something to happen in this process."""
        if self._skipped_requests.is_reading:
            return REREAD_SECONDS
        # With a free slot, only one type waits: requests of others may come at any moment.
        return SHORT_POLL_SECONDS if self._scheduler.capacity.slots.any_free() else POLL_SECONDS

    def _holds_off(self) -> bool:
        """Tell whether not to poll for a moment: enough requests are queued.

        If they stay queued, partitions are paused, and the consumer is polled. That is not done at
        once, since a consumer forgets what it has fetched of a paused partition. Partitions that
        have to be read on are not paused.
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
        """Poll, and do the periodic work; tell whether requests came."""
        self._membership.about_to_poll()
        records = self._consumer.poll(timeout)
        self._scheduler.receive(records)
        if records:
            for number, offset in self._scheduler.assignment.seeks().items():
                self._consumer.seek(number, offset)
        self._control.check()
        self._producer.check()
        if self._membership.in_doubt:
            positions = self._scheduler.assignment.positions()
            if self._consumer.is_member(positions, self._membership.doubts):
                self._membership.confirmed()
        if time.monotonic() >= self._next_commit:
            self._next_commit = time.monotonic() + COMMIT_SECONDS
            self._commit()
        return bool(records)

    def _commit(self) -> None:
        """Commit the positions that have moved; all, if the last commit failed."""
        assignment = self._scheduler.assignment
        moved = assignment.moved_positions()
        again = self._consumer.has_failed_to_commit()
        self._consumer.commit(assignment.positions() if again else moved)

    # Stopping.

    def _finish_jobs(self) -> None:
        """Stay in the group, starting nothing, until all jobs have ended or the grace is over."""
        assignment, grace = self._scheduler.assignment, self._settings.grace
        why = f"worker {self._worker_id} shuts down"
        assignment.release_unstarted(assignment.in_flight.values(), why)
        if assignment.in_flight:
            _log.info(
                "Stopping: waiting up to %g s for %d jobs to finish",
                grace,
                len(assignment.in_flight),
            )
        self._drain(grace)
        left = list(assignment.in_flight.values())
        if left:
            _log.warning("Releasing %d unfinished jobs: other workers do them again", len(left))
            assignment.release(left, why)
            self._drain(RELEASE_SECONDS)
        self._consumer.commit(assignment.positions(), wait=True)

    def _drain(self, seconds: float) -> None:
        """Wait until no job is in flight, or the time is over; stay in the group meanwhile."""
        in_flight = self._scheduler.assignment.in_flight
        self._wait_while(lambda: bool(in_flight), seconds, self._poll_held)

    def _poll_held(self) -> None:
        self._consumer.hold(self._scheduler.assignment.partitions.keys())
        self._poll(0)
        self._scheduler.drain()

    def _wait_while(
        self, busy: Callable[[], bool], seconds: float, meanwhile: Callable[[], None]
    ) -> None:
        """Run the pending calls of other threads while there is something to wait for."""
        self._producer.leave_reports()
        give_up = time.monotonic() + seconds
        while busy() and time.monotonic() < give_up:
            meanwhile()
            self._mailbox.wait(POLL_SECONDS)
            self._scheduler.run_pending()

    # Partitions come and go, within poll() and close().

    def _assigned(self, numbers: Iterable[int]) -> None:
        numbers = list(numbers)
        committed = self._consumer.committed(numbers)
        finished = finished_above(committed, self._config, self._settings.request_topic)
        self._scheduler.assigned(numbers, finished)
        if not self._joined:
            self._joined = True
            self._on_ready()

    def _revoked(self, numbers: Iterable[int]) -> None:
        """Let the jobs of these partitions end, or release them, before others get them."""
        numbers, assignment = list(numbers), self._scheduler.assignment
        leaving = [assignment.partitions[each] for each in numbers]
        self._scheduler.intake.forget(leaving)

        def may_end() -> bool:
            # The group's answer does not arrive in here: a job that may not publish now never will.
            return any(each.may_publish() for each in assignment.jobs_of(leaving))

        why = f"another worker takes over from {self._worker_id}"
        assignment.release_unstarted(assignment.jobs_of(leaving), why)
        self._wait_while(may_end, REVOKE_GRACE_SECONDS, self._membership.about_to_poll)
        assignment.release(assignment.jobs_of(leaving), why)
        self._wait_while(may_end, RELEASE_SECONDS, self._membership.about_to_poll)
        self._consumer.commit(assignment.positions(numbers), wait=True)
        assignment.forget(numbers)

    def _unreadable(self, skipped: SkippedBatches) -> None:
        self._scheduler.observer.unreadable(skipped.offsets)
        self._scheduler.assignment.jump(skipped.partition, skipped.end)

    def _lost(self, numbers: Iterable[int]) -> None:
        _log.warning(
            "Partitions lost (session expired): events are held until ownership is confirmed"
        )
        self._scheduler.lost(numbers)
