"""What the scheduler does with requests while partitions come, go and are lost."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW
from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import BrokerUnreachable, TopicNotFound
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.worker import JobContext
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime import backlog as backlog_module
from kafka_bridge.worker.runtime import ledger
from kafka_bridge.worker.runtime.admission import Admission
from kafka_bridge.worker.runtime.backlog import BACKLOG_RECORDS
from kafka_bridge.worker.runtime.capacity import Capacity
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.ledger import Ledger
from kafka_bridge.worker.runtime.ledger_snapshot import (
    LedgerSnapshot,
    Unfinished,
)
from kafka_bridge.worker.runtime.mailbox import Mailbox
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.publishing import Publishing
from kafka_bridge.worker.runtime.scheduler import assemble
from kafka_bridge.worker.runtime.skipped_requests import SkippedRequests
from kafka_bridge.worker.runtime.slots import Slots

from ..samples import run_here

Delivered = Callable[[Exception | None], None]


class Brokers:
    """Takes events, and acknowledges them when asked to."""

    def __init__(self) -> None:
        self.events: list[StatusEvent] = []
        self._waiting: list[Delivered] = []

    def deliver(self, *record: Any) -> None:
        """Take an event."""
        self.events.append(decode(StatusEvent, record[2]))
        self._waiting.append(record[-1])

    def acknowledge(self, error: Exception | None = None) -> None:
        """Acknowledge, or refuse, all that came."""
        waiting, self._waiting = self._waiting, []
        for delivered in waiting:
            delivered(error)

    @property
    def states(self) -> list[JobState]:
        """Of the events that came."""
        return [event.state for event in self.events]


class Stage:
    """A scheduler with everything around it in the test's hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, concurrency: int = 1) -> None:
        self.brokers = Brokers()
        self.submitted: list[InFlightJob] = []
        self.reads: list[float] = []
        self.before_reading: Callable[[], object] = lambda: None
        self.unreadable: dict[str, Exception] = {}
        self.finished: set[bytes] = set()
        self.unfinished: dict[bytes, Unfinished] = {}
        monkeypatch.setattr(ledger, "read_snapshot", self._read_snapshot)
        self.control_failures: list[Exception] = []
        control: Any = SimpleNamespace(reasons={}, catch_up=self._catch_up)
        self.control = control
        mailbox = self.mailbox = Mailbox()
        membership = self.membership = Membership(30.0)
        heartbeats: Any = SimpleNamespace(add=lambda _: None, remove=lambda _: None)
        handlers = {
            "a.job": Handler.of("a.job", _nothing),
            "narrow": Handler.of("narrow", _nothing, concurrency=1),
            "texts": Handler.of("texts", _nothing_in_batches, batch=3),
        }
        self.abandoned: list[str] = []
        observer: Any = Observer()
        observer.abandoned = self.abandoned.append
        self.set_aside: list[Any] = []
        self.notified: list[Any] = []
        dead_letters: Any = SimpleNamespace(
            write=self._set_aside, notify_sender=self._notify, is_full=False
        )
        self.ledger = Ledger(
            KafkaConfig({"bootstrap.servers": "nobody"}), control, Observer(), mailbox.call_soon
        )
        executor: Any = SimpleNamespace(
            submit=self.submitted.append,
            start_waiting=lambda: None,
            give_way=lambda _: None,
            started=0,
        )
        self.slots = Slots(concurrency)
        self.scheduler = assemble(
            Admission(handlers, 5, self.ledger, control),
            Publishing(cast(Any, self.brokers), "w-1"),
            Capacity(self.slots, executor),
            dead_letters,
            heartbeats,
            membership,
            mailbox,
            observer,
        )
        self.assignment, self.intake = self.scheduler.assignment, self.scheduler.intake
        self.backlog, self.handover = self.intake.backlog, self.intake.handover

    def _notify(self, record: Any, _: object) -> None:
        self.notified.append(record)

    def _set_aside(self, record: Any, _error: object, done: Callable[[], None]) -> None:
        self.set_aside.append(record)
        done()

    def _catch_up(self, _: float) -> None:
        if self.control_failures:
            raise self.control_failures.pop()

    def _read_snapshot(
        self,
        _config: object,
        topic: str,
        since: float,
        epoch: int,
        asked: Any,
        _skipped: object,
        _later: object,
    ) -> LedgerSnapshot:
        self.before_reading()
        self.reads.append(since)
        if (error := self.unreadable.get(topic)) is not None:
            raise error
        return LedgerSnapshot(
            since, epoch, frozenset(self.finished), dict(self.unfinished), asked=asked
        )

    def request(self, **fields: Any) -> JobRequest:
        """Return a request that the scheduler has a handler for."""
        defaults = {"job_type": "a.job", "response_topic": "answers", "created_at": utc_now()}
        return JobRequest(correlation_id=new_correlation_id(), **{**defaults, **fields})

    def arrives(self, job: JobRequest, offset: int, partition: int = 0) -> None:
        """Have a request come in."""
        self.scheduler.receive([arrival(job, offset, partition)])

    def arrives_damaged(self, offset: int, partition: int = 0) -> None:
        """Have a request come in that cannot be read."""
        record: Any = SimpleNamespace(
            partition=partition, offset=offset, key=b"k", timestamp_ms=0, value=b"\x07", headers=()
        )
        record.record, record.decode = offset, lambda kind: decode(kind, b"\x07")
        self.scheduler.receive([record])

    def until_events(self, count: int) -> None:
        """Have it work until so many events were published."""
        self.until(lambda: len(self.brokers.events) == count)

    def _until_submitted(self) -> None:
        def is_submitted() -> bool:
            self.brokers.acknowledge()
            return bool(self.submitted)

        self.until(is_submitted)

    def ends(self, job: JobRequest) -> None:
        """Have the handler of a running job return, and its end acknowledged."""
        self._until_submitted()
        (run,) = [each for each in self.submitted if each.request == job]
        self.submitted.remove(run)
        run_here(run)
        self.scheduler.handler_ended(run)
        self.brokers.acknowledge()

    def until(self, condition: Callable[[], object]) -> None:
        """Have the scheduler work until something is so."""
        give_up = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < give_up
            self.scheduler.work()
            self.mailbox.wait(0.01)
        self.scheduler.work()


def arrival(job: JobRequest, offset: int, partition: int = 0) -> Received:
    """Return a request as it comes in."""
    value = encode(job, Encoding.AVRO)
    record: Any = SimpleNamespace(
        partition=partition,
        offset=offset,
        key=b"k",
        timestamp_ms=0,
        value=value,
        record=None,
        headers=(),
    )
    record.decode = lambda kind: decode(kind, value)
    return cast(Received, record)


def _nothing(_: JobContext) -> None:
    """Do nothing."""


def _nothing_in_batches(_: list[JobContext]) -> list[None]:
    """Be a batch handler."""
    return []


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Give a scheduler that has partition 0."""
    stage = Stage(monkeypatch)
    stage.scheduler.assigned([0])
    return stage


def test_old_request_is_started_after_two_readings_of_the_ledger(stage: Stage) -> None:
    """A short one, and one that reaches back to the request that it was begun for."""
    stage.arrives(stage.request(created_at=utc_now() - timedelta(hours=1)), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert len(stage.reads) == 2


def test_request_with_a_future_time_has_the_recent_ledger_read(stage: Stage) -> None:
    """A wrong clock at the sender must not hide what was published of its job a moment ago."""
    stage.arrives(stage.request(created_at=utc_now() + timedelta(hours=1)), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert stage.reads[0] <= time.time() - CLOCK_SKEW.total_seconds()


def test_slot_is_freed_when_a_job_is_lost_before_it_is_accepted(stage: Stage) -> None:
    """A job that nobody starts holds no place: here its ACCEPTED never reached the brokers."""
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.scheduler.lost([0])
    stage.brokers.acknowledge(BrokerUnreachable("gone"))
    stage.scheduler.assigned([1])
    stage.arrives(stage.request(), 0, partition=1)
    stage.until(lambda: len(stage.brokers.events) == 2)


def test_job_abandoned_before_its_acceptance_never_runs(stage: Stage) -> None:
    """A job that is abandoned before its ACCEPTED is acknowledged does not run after that."""
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.scheduler.lost([0])
    stage.scheduler.assigned([])
    stage.brokers.acknowledge()
    stage.scheduler.work()
    assert (stage.submitted, stage.slots.taken) == ([], 0)


def test_rejected_job_is_rejected_again_after_its_partition_comes_back(stage: Stage) -> None:
    """A job that is ended without a start ends, though its partition was lost meanwhile."""
    job = stage.request(job_type="unheard.of")
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.FAILED])
    stage.scheduler.lost([0])
    stage.brokers.acknowledge(BrokerUnreachable("gone"))
    stage.scheduler.assigned([0])
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.FAILED] * 2)
    stage.brokers.acknowledge()
    stage.until(lambda: stage.assignment.positions([0]) == {0: (1, "")})


def test_job_dead_lettered_while_its_partition_was_lost_is_decided_again(stage: Stage) -> None:
    """What is done with in the meantime is not taken up again: nothing would ever finish it."""
    job = stage.request()
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.brokers.acknowledge()
    run = stage.submitted.pop()
    run_here(run)
    stage.scheduler.handler_ended(run)
    stage.scheduler.lost([0])
    stage.scheduler.assigned([0])
    stage.brokers.acknowledge(TopicNotFound("no topic 'answers'"))
    stage.until(lambda: not stage.assignment.in_flight)
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states[-1:] == [JobState.ACCEPTED])
    assert list(stage.assignment.in_flight) == [job.correlation_id]


@pytest.mark.parametrize("error", [BrokerUnreachable("an open transaction"), RuntimeError("oh")])
def test_unreadable_response_topic_delays_no_other(stage: Stage, error: Exception) -> None:
    """Its jobs wait; those that answer elsewhere are begun, whatever it is that fails."""
    stage.unreadable["broken"] = error
    stage.arrives(stage.request(response_topic="broken"), 0)
    job = stage.request()
    stage.arrives(job, 1)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert list(stage.assignment.in_flight) == [job.correlation_id]


def test_missing_control_topic_dead_letters_no_request(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request becomes a dead letter if its response topic is missing, and for no other topic."""
    monkeypatch.setattr(ledger, "RETRY_SECONDS", 0.01)
    stage.control_failures.append(TopicNotFound("no topic 'jobs.control'"))
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert (stage.control_failures, stage.set_aside) == ([], [])


def test_request_of_a_revoked_partition_is_ignored(stage: Stage) -> None:
    """One poll may bring a request, and then take its partition away."""
    job = stage.request()
    stage.assignment.forget([0])
    stage.arrives(job, 0)
    stage.scheduler.work()
    assert (len(stage.backlog), stage.brokers.states) == (0, [])


def test_ever_older_requests_have_the_topic_read_a_few_times(stage: Stage) -> None:
    """Twenty requests, each an hour older than the last: each reading reaches much further back."""
    for hours in range(20):
        stage.arrives(stage.request(job_type="no.such", created_at=hours_ago(hours)), hours)
        stage.until_events(hours + 1)
        stage.brokers.acknowledge()
    assert len(stage.reads) <= 5


def hours_ago(hours: float) -> datetime:
    """Return a moment in the past."""
    return utc_now() - timedelta(hours=hours)


def test_job_that_had_begun_elsewhere_goes_first_and_gets_heartbeats(stage: Stage) -> None:
    """Its partition comes while the only place is taken and others wait for it."""
    running, waiting, begun = (stage.request() for _ in range(3))
    stage.arrives(running, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.arrives(waiting, 1)
    stage.scheduler.work()
    stage.unfinished[begun.correlation_id.encode()] = Unfinished(2, sequence=7, external_id="x-1")
    stage.scheduler.assigned([1])
    stage.arrives(begun, 0, partition=1)
    stage.until(lambda: len(stage.brokers.events) == 2)
    spoken = stage.brokers.events[-1]
    assert (spoken.correlation_id, spoken.state) == (begun.correlation_id, JobState.RUNNING)
    assert (spoken.delivery, spoken.sequence, spoken.external_id) == (2, 8, "x-1")
    stage.ends(running)
    stage.until(lambda: len(stage.brokers.events) == 4)
    accepted = stage.brokers.events[-1]
    assert (accepted.correlation_id, accepted.state) == (begun.correlation_id, JobState.ACCEPTED)
    assert (accepted.delivery, accepted.external_id) == (3, "x-1")
    assert len(stage.handover) == 0


def test_released_job_goes_first_and_gets_no_heartbeats(stage: Stage) -> None:
    """Its task knows that it waits: no event states that it runs before it does."""
    running, waiting, released = (stage.request() for _ in range(3))
    stage.arrives(running, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.arrives(waiting, 1)
    stage.unfinished[released.correlation_id.encode()] = Unfinished(1, 1, is_released=True)
    stage.scheduler.assigned([1])
    stage.arrives(released, 0, partition=1)
    stage.until(lambda: len(stage.reads) == 2 and not stage.backlog.undecided)
    assert len(stage.brokers.events) == 1
    stage.ends(running)
    stage.until(lambda: len(stage.brokers.events) == 3)
    assert stage.brokers.events[-1].correlation_id == released.correlation_id


def test_ledger_is_read_for_new_partitions_without_a_free_slot(stage: Stage) -> None:
    """Not only when it is the turn of one of their requests."""
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.scheduler.assigned([1])
    stage.arrives(stage.request(), 0, partition=1)
    stage.until(lambda: len(stage.reads) == 2)


def test_handover_heartbeats_end_when_the_partition_goes(stage: Stage) -> None:
    """Its new owner publishes them."""
    begun = stage.request()
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.unfinished[begun.correlation_id.encode()] = Unfinished(1)
    stage.scheduler.assigned([1])
    stage.arrives(begun, 0, partition=1)
    stage.until(lambda: len(stage.handover) == 1)
    partition = stage.assignment.partitions[1]
    stage.intake.forget([partition])
    assert (len(stage.handover), len(stage.backlog)) == (0, 0)


def test_handover_heartbeats_end_when_the_ledger_has_the_end_of_the_job(stage: Stage) -> None:
    """Its last worker was only frozen. A snapshot that does not reach back to it came between."""
    running, begun = (stage.request(created_at=hours_ago(1)) for _ in range(2))
    stage.arrives(running, 0)
    stage.unfinished[begun.correlation_id.encode()] = Unfinished(1)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    may_read = threading.Event()
    stage.before_reading = lambda: may_read.wait(30)
    stage.scheduler.assigned([1])
    stage.arrives(stage.request(), 0, partition=1)
    stage.until(lambda: stage.ledger.is_reading)
    stage.arrives(begun, 1)
    assert len(stage.handover) == 1
    stage.finished.add(begun.correlation_id.encode())
    may_read.set()
    stage.until(lambda: len(stage.reads) == 4 and not stage.backlog.undecided)
    assert len(stage.handover) == 0


def blocked_from_second_reading(stage: Stage) -> threading.Event:
    """Have the second and later readings wait for the event."""
    may_read = threading.Event()
    stage.before_reading = lambda: bool(stage.reads) and may_read.wait(30)
    return may_read


def test_new_request_does_not_wait_until_hours_of_events_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first reading is short. An old request waits for the long one: it may be finished."""
    stage = Stage(monkeypatch, concurrency=2)
    may_read = blocked_from_second_reading(stage)
    stage.scheduler.assigned([0])
    old, new = stage.request(created_at=hours_ago(5)), stage.request()
    stage.arrives(old, 0)
    stage.arrives(new, 1)
    stage.until(lambda: stage.ledger.is_reading and len(stage.reads) == 1)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert stage.brokers.events[0].correlation_id == new.correlation_id
    assert stage.reads[0] >= time.time() - 130
    stage.finished.add(old.correlation_id.encode())
    may_read.set()
    stage.until(lambda: not stage.backlog.undecided)
    assert stage.reads[1] <= time.time() - 5 * 3600
    stage.until(lambda: not len(stage.backlog))
    assert stage.brokers.states == [JobState.ACCEPTED], "the old one is finished"


def test_slot_is_kept_for_a_job_that_had_begun_until_its_events_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes first, and its task hears of it at once."""
    stage = Stage(monkeypatch, concurrency=1)
    may_read = blocked_from_second_reading(stage)
    stage.scheduler.assigned([0])
    old, new = stage.request(created_at=hours_ago(5)), stage.request()
    stage.unfinished[old.correlation_id.encode()] = Unfinished(3)
    stage.arrives(old, 0)
    stage.arrives(new, 1)
    stage.until(lambda: len(stage.handover) == 1)
    for _ in range(3):
        stage.scheduler.work()
    assert stage.brokers.states == [JobState.RUNNING], "a heartbeat, and nothing has started"
    may_read.set()
    stage.until(lambda: len(stage.brokers.events) == 2)
    started = stage.brokers.events[1]
    assert (started.correlation_id, started.delivery) == (old.correlation_id, 4)
    assert stage.slots.promised == 0


def test_requests_of_a_full_lane_are_skipped_and_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What its lane has no room for keeps its offset alone, and is read again in order."""
    monkeypatch.setattr(backlog_module, "LANE_RECORDS", 10)
    stage = Stage(monkeypatch, concurrency=2)
    stage.scheduler.assigned([0])
    count = 40
    jobs = [stage.request(job_type="narrow") for _ in range(count)]
    last = stage.request(job_type="no.such")
    for offset, job in enumerate([*jobs, last]):
        stage.arrives(job, offset)
        if offset == 0:
            stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.until(lambda: stage.brokers.states[-1] is JobState.FAILED)
    stage.brokers.acknowledge()
    assignment, intake = stage.assignment, stage.intake
    positions = assignment.partitions[0].offsets
    # One runs; the lane was filled before and has had one more place since.
    assert positions.skipped == count - 1 - 10
    assert intake.held() == set()
    assert assignment.positions([0]) == {0: (0, "")}

    rereader = Again(jobs)
    passed_over = SkippedRequests(rereader, assignment, stage.backlog)
    passed_over.read_again(intake.receive_again)
    assert rereader.starts == []  # there is no room yet
    for number in range(count):
        stage.ends(jobs[number])
        passed_over.read_again(intake.receive_again)
    stage.until(lambda: assignment.positions([0]) == {0: (count + 1, "")})
    assert rereader.starts == [10 + 1]  # once: from then on it reads on


def test_skipped_requests_that_were_deleted_do_not_stop_commits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The topic was purged: nothing comes back, and what waits behind must not wait for that."""
    monkeypatch.setattr(backlog_module, "LANE_RECORDS", 2)
    stage = Stage(monkeypatch)
    stage.scheduler.assigned([0])
    jobs = [stage.request(job_type="narrow") for _ in range(4)]
    for offset, job in enumerate(jobs):
        stage.arrives(job, offset)
    stage.until(lambda: not stage.backlog.undecided)
    for job in jobs[:2]:
        stage.ends(job)
    stage.scheduler.work()
    assignment, rereader = stage.assignment, Again([])
    passed_over = SkippedRequests(rereader, assignment, stage.backlog)
    passed_over.read_again(stage.intake.receive_again)
    assert (passed_over.is_reading, assignment.positions([0])) == (True, {0: (2, "")})
    rereader.end = 4
    passed_over.read_again(stage.intake.receive_again)
    assert (passed_over.is_reading, assignment.positions([0])) == (False, {0: (4, "")})


def test_partitions_with_skipped_requests_are_read_again_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One with a long queue for a slow type does not keep the others' requests waiting."""
    monkeypatch.setattr(backlog_module, "LANE_RECORDS", 2)
    stage = Stage(monkeypatch)
    assignment, backlog = stage.assignment, stage.backlog
    assignment.assigned([0, 1])
    jobs = [[stage.request(job_type="narrow") for _ in range(8)] for _ in range(2)]
    for partition, its_jobs in enumerate(jobs):
        for offset, job in enumerate(its_jobs):
            stage.arrives(job, offset, partition)
    stage.until(lambda: not backlog.undecided)
    rereader = Again(*jobs)
    passed_over = SkippedRequests(rereader, assignment, backlog)
    # Two were in the lane; three come at a time.
    for partition, offsets in ((0, (0, 1)), (0, (2, 3, 4)), (1, (0, 1, 2)), (0, (5, 6, 7))):
        for offset in offsets:
            stage.ends(jobs[partition][offset])
        passed_over.read_again(stage.intake.receive_again)
    assert (rereader.partitions, rereader.starts) == ([0, 1, 0, 1], [2, 0, 5, 3])


class Again:
    """Reads requests of partitions again, a few at a time."""

    def __init__(self, *jobs: list[JobRequest]) -> None:
        self.partitions: list[int] = []
        self.starts: list[int] = []
        self.end: int | None = None
        self._jobs = jobs
        self._at = 0

    def start(self, partition: int, offset: int) -> None:
        """Go to an offset."""
        self.partitions.append(partition)
        self.starts.append(offset)
        self._at = offset

    def poll(self) -> list[Received]:
        """Return the next ones."""
        partition = self.partitions[-1]
        jobs = self._jobs[partition][self._at :][:3]
        found = [arrival(job, self._at + n, partition) for n, job in enumerate(jobs)]
        self._at += len(found)
        return found

    def stop(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_duplicate_requests_are_queued_like_any_other(
    monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    """While its job runs, the others wait like any request, without heartbeats."""
    monkeypatch.setattr(backlog_module, "LANE_RECORDS", 10)
    stage = Stage(monkeypatch)
    scheduler, job = stage.scheduler, stage.request(job_type="narrow")
    stage.unfinished[job.correlation_id.encode()] = Unfinished(1)
    scheduler.assigned([0])
    stage.arrives(job, 0)
    stage.until(lambda: JobState.ACCEPTED in stage.brokers.states)
    if is_cancelled:
        stage.control.reasons[job.correlation_id] = "not needed"
    for offset in range(1, 100):
        stage.arrives(job, offset)
    assert (len(stage.backlog), len(stage.handover)) == (10, 0)
    assert not stage.intake.visit_all
    assert scheduler.assignment.partitions[0].offsets.skipped == 99 - 10
    stage.ends(job)
    stage.until(lambda: not stage.backlog)
    assert scheduler.assignment.positions([0]) == {0: (11, "")}


def test_own_terminal_event_in_the_ledger_does_not_abandon_the_job(stage: Stage) -> None:
    """The ledger is read between the end of a job and the moment at which this is known here."""
    job = stage.request()
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.brokers.acknowledge()
    run = stage.submitted.pop()
    run_here(run)
    stage.finished.add(job.correlation_id.encode())
    stage.scheduler.assigned([1])
    stage.arrives(stage.request(), 0, partition=1)
    stage.until(lambda: len(stage.reads) == 2 and not stage.ledger.is_reading)
    assert stage.abandoned == []
    stage.brokers.acknowledge()
    stage.until(lambda: stage.assignment.positions([0]) == {0: (1, "")})


def test_terminal_event_of_another_worker_abandons_the_job(stage: Stage) -> None:
    """Its handler is asked to stop: its result does not count."""
    job = stage.request()
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.finished.add(job.correlation_id.encode())
    stage.scheduler.assigned([1])
    stage.arrives(stage.request(), 0, partition=1)
    stage.until(lambda: stage.abandoned == ["a.job"])


def test_no_dead_letter_is_written_while_membership_is_in_doubt(stage: Stage) -> None:
    """A newer worker may be able to read what this one cannot, and may have its partition now."""
    stage.membership.in_doubt = True
    stage.arrives_damaged(0)
    stage.arrives_damaged(0, partition=0)
    stage.scheduler.work()
    assert (stage.set_aside, stage.notified) == ([], [])
    stage.membership.confirmed()
    stage.scheduler.work()
    assert (len(stage.set_aside), len(stage.notified)) == (2, 2)


def test_no_dead_letter_is_written_for_lost_partitions(stage: Stage) -> None:
    """They are another worker's to decide, though this one has their partition again."""
    stage.membership.in_doubt = True
    stage.arrives_damaged(0)
    stage.scheduler.lost([0])
    stage.scheduler.assigned([0])
    stage.membership.confirmed()
    stage.scheduler.work()
    assert (stage.set_aside, stage.notified) == ([], [])


def test_new_partition_is_consumed_although_the_backlog_is_full(stage: Stage) -> None:
    """It may have jobs that others had begun: up to so many requests that nobody had."""
    scheduler, intake = stage.scheduler, stage.intake
    stage.unfinished[b"of another partition"] = Unfinished(1)
    for offset in range(BACKLOG_RECORDS + 1):
        stage.arrives(stage.request(), offset)
        if offset == 0:
            stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert intake.held() == {0}
    scheduler.assigned([1])
    assert intake.held() == {0}
    stage.arrives(stage.request(), 0, partition=1)
    stage.until(lambda: not stage.backlog.undecided)
    for offset in range(1, BACKLOG_RECORDS):
        assert intake.held() == {0}
        stage.arrives(stage.request(), offset, partition=1)
    assert intake.held() == {0, 1}
    assert scheduler.assignment.partitions[1].offsets.skipped == BACKLOG_RECORDS
    assert len(stage.backlog) == BACKLOG_RECORDS


def test_jobs_that_had_begun_elsewhere_go_first_up_to_a_limit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write events could have any number of them begun."""
    monkeypatch.setattr(backlog_module, "MOST_BEGUN", 2)
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    jobs = [stage.request() for _ in range(4)]
    stage.unfinished = {job.correlation_id.encode(): Unfinished(1) for job in jobs}
    stage.scheduler.assigned([1])
    for offset, job in enumerate(jobs):
        stage.arrives(job, offset, partition=1)
    stage.until(lambda: not stage.backlog.undecided)
    assert [each.began_elsewhere for each in stage.backlog] == [True, True, False, False]
    assert len(stage.handover) == 2


def test_fetching_stops_while_the_ledger_cannot_be_read(stage: Stage) -> None:
    """Requests of which nothing is known are kept, but not without end."""
    stage.unreadable["answers"] = BrokerUnreachable("gone")
    for offset in range(BACKLOG_RECORDS):
        assert stage.intake.held() == set()
        stage.arrives(stage.request(), offset)
    assert stage.intake.held() == {0}


def test_request_older_than_the_latest_snapshot_is_decided_again(stage: Stage) -> None:
    """It is older than the others and came while the topic was being read."""
    running, old, new = (stage.request(created_at=hours_ago(n)) for n in (1, 1, 0))
    stage.arrives(running, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    may_read = threading.Event()
    stage.before_reading = lambda: may_read.wait(30)
    stage.scheduler.assigned([1])
    stage.arrives(new, 0, partition=1)
    stage.until(lambda: stage.ledger.is_reading)
    stage.finished.add(new.correlation_id.encode())
    stage.arrives(old, 1)
    may_read.set()
    stage.until(lambda: not stage.ledger.is_reading)
    for job in (running, old):
        stage.ends(job)
    stage.until(lambda: stage.assignment.positions([0, 1]) == {0: (2, ""), 1: (1, "")})
    assert len(stage.reads) == 4


def test_stopping_worker_publishes_heartbeats_of_jobs_that_others_had_begun(stage: Stage) -> None:
    """Their requests were not decided yet: until the partition is released they are its own."""
    running, begun = stage.request(), stage.request()
    stage.arrives(running, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    may_read = threading.Event()
    stage.before_reading = lambda: may_read.wait(30)
    stage.unfinished[begun.correlation_id.encode()] = Unfinished(1)
    stage.scheduler.assigned([1])
    stage.arrives(begun, 0, partition=1)
    stage.scheduler.drain()
    may_read.set()
    give_up = time.monotonic() + 120
    while not stage.handover:
        assert time.monotonic() < give_up
        stage.scheduler.drain()
        stage.mailbox.wait(0.01)
    heartbeat = stage.brokers.events[-1]
    assert (heartbeat.correlation_id, heartbeat.state) == (begun.correlation_id, JobState.RUNNING)
    stage.ends(running)
    for _ in range(3):
        stage.scheduler.drain()
    assert stage.brokers.states.count(JobState.ACCEPTED) == 1, "nothing new is accepted"
    assert len(stage.handover) == 1
    stage.intake.forget([stage.assignment.partitions[1]])
    assert len(stage.handover) == 0


def test_job_that_is_lost_while_its_request_waits_again_is_decided_again(stage: Stage) -> None:
    """Its request was consumed a second time already: nothing else would finish its offset."""
    job = stage.request()
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.scheduler.lost([0])
    stage.scheduler.assigned([0])
    (orphan,) = stage.assignment.in_flight.values()
    stage.arrives(job, 0)
    stage.assignment.abandon(orphan)
    stage.brokers.acknowledge()
    stage.until(lambda: len(stage.brokers.events) == 2)
    stage.ends(job)
    stage.until(lambda: stage.assignment.positions() == {0: (1, "")})


def test_end_acknowledged_after_the_dead_letter_of_its_request_changes_nothing(
    stage: Stage,
) -> None:
    """The response topic was deleted while the partition was lost: the request is dead-lettered."""
    job = stage.request()
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.brokers.acknowledge()
    run_here(stage.submitted[0])
    stage.scheduler.lost([0])
    stage.scheduler.assigned([0])
    stage.unreadable["answers"] = TopicNotFound("no topic 'answers'")
    stage.arrives(job, 0)
    stage.until(lambda: stage.set_aside)
    stage.until(lambda: stage.assignment.positions() == {0: (1, "")})
    stage.brokers.acknowledge()
    stage.scheduler.work()
    assert stage.assignment.positions() == {0: (1, "")}
    assert stage.brokers.states == [JobState.ACCEPTED, JobState.SUCCEEDED]


@pytest.mark.parametrize("way", ["succeeds", "is cancelled", "is abandoned"])
def test_job_that_is_over_is_freed_at_once(stage: Stage, way: str) -> None:
    """It refers to nothing that refers to it: with its payload, it would wait for a collection."""
    job = stage.request()
    marker = job.correlation_id
    gc.collect()
    gc.disable()
    try:
        if way == "is cancelled":
            stage.control.reasons[marker] = "not needed"
        stage.arrives(job, 0)
        if way == "succeeds":
            stage.ends(job)
        elif way == "is abandoned":
            stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
            stage.assignment.abandon(stage.assignment.in_flight[marker])
        else:
            stage.until(lambda: stage.brokers.states == [JobState.CANCELLED])
        stage.brokers.acknowledge()
        stage.until(lambda: not stage.assignment.in_flight)
        left = [each for each in gc.get_objects() if type(each) is InFlightJob]
        assert [each for each in left if each.correlation_id == marker] == []
    finally:
        gc.enable()


def test_a_batch_is_accepted_at_once_in_one_slot_and_not_beyond(stage: Stage) -> None:
    """The next batch waits until the slot is free, and so does a job of another type."""
    jobs = [stage.request(job_type="texts") for _ in range(4)]
    for offset, job in enumerate([*jobs[:1], stage.request(), *jobs[1:]]):
        stage.arrives(job, offset)
    stage.until_events(3)
    assert {each.correlation_id for each in stage.brokers.events} == {
        each.correlation_id for each in jobs[:3]
    }
    assert (stage.slots.taken, len(stage.backlog)) == (1, 2)
