"""Random histories of one worker and one partition: what must hold, whatever happens, and when.

Acknowledgements fail, partitions are lost, revoked and assigned again, another worker finishes
jobs meanwhile, jobs are cancelled, membership is in doubt, the worker is told to stop, or dies and
is started again. Others commit, too: an old worker's commit comes late, or other metadata.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.kafka.consumer import Position
from kafka_bridge.kafka.finished_runs import (
    ConsumedRecord,
    FinishedRuns,
    from_metadata,
    to_metadata,
)
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordTooLarge, TopicNotFound
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime import partition, reporter
from kafka_bridge.worker.runtime.admission import Admission
from kafka_bridge.worker.runtime.capacity import Capacity
from kafka_bridge.worker.runtime.in_flight import InFlightJob, Outcome
from kafka_bridge.worker.runtime.ledger_snapshot import LedgerSnapshot, Unfinished
from kafka_bridge.worker.runtime.mailbox import Mailbox
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.publishing import Publishing
from kafka_bridge.worker.runtime.scheduler import assemble
from kafka_bridge.worker.runtime.slots import Slots

HISTORIES, STEPS, JOBS, CONCURRENCY = 60, 300, 14, 4
S = JobState
Delivered = Callable[[Exception | None], None]


class Topic:
    """The response topic: unacknowledged events, the events on record, and what a ledger sees."""

    def __init__(self, chance: random.Random, call_soon: Callable[..., None]) -> None:
        self.unacknowledged: list[tuple[StatusEvent, Delivered]] = []
        self.events: list[StatusEvent] = []
        self.ends_of_others: set[str] = set()
        self.is_gone = False
        self._chance = chance
        self._call_soon = call_soon
        self._snapshot: LedgerSnapshot | None = None
        self._is_reading = False
        self._finished_here: set[str] = set()
        self.ended_at_read = frozenset[str]()

    def deliver(self, *record: Any) -> None:
        """Take an event, to be acknowledged later."""
        self.unacknowledged.append((decode(StatusEvent, record[2]), record[-1]))

    def acknowledge(self, error: Exception | None = None) -> None:
        """Acknowledge the oldest event, or refuse it."""
        event, delivered = self.unacknowledged.pop(0)
        if error is None:
            self.events.append(event)
        delivered(error)

    def die(self, arrives: int) -> None:
        """Have so many of the unacknowledged events arrive, and no more; forget the worker's."""
        self.events += [event for event, _ in self.unacknowledged[:arrives]]
        self.unacknowledged.clear()
        self._snapshot, self._is_reading = None, False
        self._finished_here.clear()

    @property
    def ended(self) -> Counter[str]:
        """How many terminal events each job has."""
        own = (each.correlation_id for each in self.events if each.state in TERMINAL)
        return Counter([*own, *self.ends_of_others])

    # The ledger.

    has_unfinished = False

    def has_read(self, epoch: int) -> bool:
        """Tell whether it was read since this assignment."""
        return self._snapshot is not None and self._snapshot.epoch >= epoch

    def is_finished_here(self, job: str) -> bool:
        """Tell whether the worker has finished a job."""
        return job in self._finished_here

    def finished_here(self, job: str) -> None:
        """Note that the worker has finished a job."""
        self._finished_here.add(job)

    def snapshot_for(self, _: JobRequest, epoch: int) -> LedgerSnapshot | None:
        """Return the snapshot of this assignment."""
        return self._snapshot if self.has_read(epoch) else None

    def may_read(self, _: str) -> bool:
        """Tell whether it is not being read."""
        return not self._is_reading

    def read(
        self,
        _topic: str,
        _asking: Sequence[object],
        epoch: int,
        then: Callable[[LedgerSnapshot], None],
    ) -> None:
        """Read it; that fails at times."""
        self._is_reading = True
        failure = TopicNotFound("no topic 'answers'") if self.is_gone else None
        self._call_soon(self._read, epoch, failure, then)

    def _read(
        self, epoch: int, failure: TopicNotFound | None, then: Callable[[LedgerSnapshot], None]
    ) -> None:
        self._is_reading = False
        if self._chance.random() < 0.1:
            return
        self.ended_at_read = frozenset(self.ended)
        finished = frozenset(job.encode() for job in self.ended_at_read)
        unfinished: dict[bytes, Unfinished] = {}
        for each in self.events:
            if (key := each.correlation_id.encode()) not in finished:
                known = unfinished.setdefault(key, Unfinished())
                known.delivery = max(known.delivery, each.delivery)
                known.is_released = each.state is S.RELEASED
                known.released += known.is_released
        self._snapshot = (
            LedgerSnapshot(0.0, epoch, finished, unfinished)
            if failure is None
            else LedgerSnapshot(0.0, epoch, failure=failure)
        )
        then(self._snapshot)
        if failure is not None:  # it holds for a while only
            self._snapshot = None


class History:
    """A scheduler, and everything that may happen to it."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        self.mailbox, self.membership = Mailbox(), Membership(math.inf)
        self.topic = Topic(chance, self.mailbox.call_soon)
        self.control = SimpleNamespace(reasons={})
        self.ticking: dict[int, Any] = {}
        self.submitted: list[InFlightJob] = []
        self.running: list[InFlightJob] = []
        self.letters: list[tuple[int, Callable[[], None]]] = []
        self.dead: set[int] = set()
        self.committed, self.position = Position(0), 0
        self.earlier = [self.committed]
        self.seeks = 0
        self.has_partition = self.is_stopping = False
        self._start_worker()
        self.requests: list[JobRequest] = []
        for _ in range(JOBS):
            is_twice = self.requests and chance.random() < 0.15
            self.requests.append(chance.choice(self.requests) if is_twice else self._request())

    def _start_worker(self) -> None:
        self.slots = Slots(CONCURRENCY)
        self.scheduler = assemble(
            Admission(
                {
                    "any": Handler.of("any", lambda _: None),
                    "narrow": Handler.of("narrow", lambda _: None, concurrency=1),
                },
                3,
                self.topic,
                self.control,
            ),
            Publishing(self.topic, "w-1"),
            Capacity(self.slots, self._executor()),
            self._dead_letters(),
            self._heartbeats(),
            self.membership,
            self.mailbox,
            Observer(),
        )
        self.assignment = self.scheduler.assignment

    def _executor(self) -> Any:
        return SimpleNamespace(
            submit=self.submitted.append,
            start_waiting=lambda: None,
            give_way=lambda _: None,
            started=0,
        )

    def _dead_letters(self) -> Any:
        return SimpleNamespace(
            write=lambda record, _, done: self.letters.append((record, done)), is_full=False
        )

    def _heartbeats(self) -> Any:
        return SimpleNamespace(
            add=lambda each: self.ticking.update({id(each): each}),
            remove=lambda each: self.ticking.pop(id(each), None),
        )

    def _request(self) -> JobRequest:
        return JobRequest(
            correlation_id=new_correlation_id(),
            job_type=self.chance.choice(["any"] * 4 + ["narrow", "unknown"]),
            response_topic="answers",
            created_at=utc_now(),
        )

    def _received(self, offset: int) -> Any:
        value = encode(self.requests[offset], Encoding.AVRO)
        return SimpleNamespace(
            partition=0,
            offset=offset,
            key=b"k",
            timestamp_ms=0,
            value=value,
            headers=(),
            record=offset,
            decode=lambda kind: decode(kind, value),
        )

    # What may happen.

    def acknowledge(self) -> None:
        """Acknowledge an event, or refuse it."""
        if self.topic.unacknowledged:
            errors = [BrokerUnreachable("gone"), TopicNotFound("none"), RecordTooLarge("large")]
            errors += [BrokerUnreachable("gone")] * 4
            self.topic.acknowledge(
                self.chance.choice(errors) if self.chance.random() < 0.2 else None
            )

    def start(self) -> None:
        """Start a job that was submitted, or end those that have to stop."""
        for job in [each for each in self.submitted if each.stop.reason is not None]:
            self.submitted.remove(job)
            self._end(job, S.CANCELLED)
        startable = [each for each in self.submitted if each.may_start()]
        if startable and len(self.running) < CONCURRENCY:
            self.submitted.remove(startable[0])
            if startable[0].begin():
                own = [each for each in self.topic.events if each.state in TERMINAL]
                assert startable[0].correlation_id not in {each.correlation_id for each in own}
                assert startable[0].correlation_id not in self.topic.ended_at_read
                self.running.append(startable[0])
            else:
                self._end(startable[0], S.FAILED)

    def end(self) -> None:
        """Have a handler return, or its terminal event fail to be made."""
        if self.running:
            job = self.running.pop(self.chance.randrange(len(self.running)))
            if self.chance.random() < 0.05:
                job.fail_to_end(RuntimeError("no event can be made"))
            self._end(job, S.SUCCEEDED)

    def _end(self, job: InFlightJob, state: JobState) -> None:
        job.end(Outcome(state))
        self.scheduler.handler_ended(job)

    def work(self) -> None:
        """Do what the polling thread does."""
        if self.is_stopping:
            self.scheduler.drain()
        else:
            self.scheduler.work()

    def poll(self) -> None:
        """Consume a few requests."""
        if self.has_partition and not self.is_stopping:
            end = min(JOBS, self.position + self.chance.randint(1, 3))
            arrived = [self._received(offset) for offset in range(self.position, end)]
            self.position = end
            self.scheduler.receive(arrived)
            if (end := self.assignment.seeks().get(0, self.position)) > self.position:
                self.position = end
                self.seeks += 1

    def commit(self) -> None:
        """Commit: only finished requests, and dead letters, may lie before it or be in its runs."""
        position = self.assignment.positions().get(0)
        if position is not None and position.offset >= self.committed.offset:
            self._check(position)
            self.earlier.append(position)
            self.committed = position

    def _check(self, position: Position) -> None:
        finished = from_metadata(*position)
        runs = [(0, position.offset), *(() if finished is None else finished.runs)]
        assert all(self._is_finished(offset) for run in runs for offset in range(*run))

    def _is_finished(self, offset: int) -> bool:
        return self.requests[offset].correlation_id in self.topic.ended or offset in self.dead

    def foreign_commit(self) -> None:
        """Have an old worker commit late, or another program commit metadata of its own."""
        if not self.has_partition:
            notes = ["", "another program's", self.committed.metadata[:-1], "7" * 5000]
            offset = self.committed.offset
            others = [Position(offset, note) for note in notes]
            others += [Position(offset, each.metadata) for each in self.earlier]
            self.committed = self.chance.choice(others + self.earlier * 2)

    def die(self) -> None:
        """End the process; some of what it has sent arrives. Then start it again."""
        if self.chance.random() < 0.3:
            arrives = self.chance.randint(0, len(self.topic.unacknowledged))
            self.topic.die(arrives)
            self.mailbox.run_pending()  # nobody hears of it
            self.ticking.clear()
            for each in (self.submitted, self.running, self.letters):
                each.clear()
            self.has_partition = self.is_stopping = False
            self._start_worker()

    def assign(self) -> None:
        """Get the partition."""
        if not self.has_partition:
            self.has_partition, self.position = True, self.committed.offset
            finished = from_metadata(*self.committed)
            self.scheduler.assigned([0], {} if finished is None else {0: finished})

    def lose(self) -> None:
        """Lose the partition; what was sent has been acknowledged or has failed by then."""
        if self.has_partition:
            while self.topic.unacknowledged:
                self.acknowledge()
            self.has_partition = False
            self.scheduler.lost([0])

    def revoke(self) -> None:
        """Leave the partition as a service does."""
        if self.has_partition:
            leaving = [self.assignment.partitions[0]]
            self.scheduler.intake.forget(leaving)
            for release in (self.assignment.release_unstarted, self.assignment.release):
                release(self.assignment.jobs_of(leaving), "another worker takes over")
                for _ in range(self.chance.randint(0, 3)):
                    self.chance.choice([self.acknowledge, self.end, self.scheduler.run_pending])()
            while self.topic.unacknowledged:
                self.acknowledge()
            self.scheduler.run_pending()
            self.commit()
            self.has_partition = False
            self.assignment.forget([0])

    def other_worker(self) -> None:
        """Have another worker, which has the partition, finish a job, and perhaps commit."""
        first = self.committed.offset
        if not self.has_partition and first < JOBS:
            job = self.requests[self.chance.randrange(first, JOBS)].correlation_id
            if job not in self.topic.ended:
                self.topic.ends_of_others.add(job)
            if self.chance.random() < 0.5:
                while first < JOBS and self._is_finished(first):
                    first += 1
                self.committed = self._committed_by_other(first)
                self._check(self.committed)

    def _committed_by_other(self, first: int) -> Position:
        """Return what another worker commits: not all of them write metadata."""
        if first >= JOBS or self.chance.random() < 0.3:
            return Position(first)
        last = ConsumedRecord.of(JOBS - 1, b"k", 0)
        runs = [(each, each + 1) for each in range(first, JOBS) if self._is_finished(each)]
        return Position(first, to_metadata(first, FinishedRuns.up_to(last, runs)))

    def cancel(self) -> None:
        """Cancel a job."""
        job = self.chance.choice(self.requests).correlation_id
        self.control.reasons[job] = "not needed"
        self.mailbox.call_soon(self.scheduler.cancel, job)

    def write_letter(self) -> None:
        """Acknowledge a dead letter."""
        if self.letters:
            offset, done = self.letters.pop(self.chance.randrange(len(self.letters)))
            self.dead.add(offset)
            done()

    def tick(self) -> None:
        """Do what the heartbeats' thread does."""
        for each in list(self.ticking.values()):
            each.tick()

    def doubt(self) -> None:
        """Doubt the membership, or confirm it."""
        self.membership.in_doubt = not self.membership.in_doubt

    def delete_topic(self) -> None:
        """Delete the response topic, or create it again."""
        self.topic.is_gone = not self.topic.is_gone

    def stop(self) -> None:
        """Tell the worker to stop, at times."""
        if self.has_partition and self.chance.random() < 0.1:
            self.is_stopping = True
            self.assignment.release_unstarted(self.assignment.in_flight.values(), "shuts down")

    def run(self) -> None:
        """Have things happen at random; then have everything that is due happen."""
        often = [self.acknowledge, self.work] * 5 + [self.start] * 8 + [self.poll] * 4
        often += [self.end] * 3 + [self.commit, self.assign, self.tick, self.write_letter] * 2
        rarely = [self.lose, self.revoke, self.other_worker, self.cancel, self.stop, self.die]
        rarely += [self.foreign_commit] * 2
        rarely += [each for each in (self.doubt, self.delete_topic) if self.chance.random() < 0.5]
        for _ in range(STEPS):
            self.chance.choice(often + rarely)()
        self.membership.in_doubt = self.topic.is_gone = False
        for _ in range(STEPS):
            self._catch_up()
        if self.is_stopping:
            self.assignment.release(list(self.assignment.in_flight.values()), "shuts down")
            self._catch_up()
            self._catch_up()
            if self.has_partition:
                self.scheduler.intake.forget([self.assignment.partitions[0]])
                self.assignment.forget([0])

    def _catch_up(self) -> None:
        if not self.is_stopping:
            self.assign()
        for each in (self.tick, self.start, self.end, self.work, self.poll, self.write_letter):
            each()
        while self.topic.unacknowledged:
            self.topic.acknowledge()
        self.work()
        self.commit()

    @property
    def unnoticed(self) -> list[InFlightJob]:
        """The jobs that another worker has finished and committed: a later request shows that."""
        return [
            each
            for each in self.assignment.in_flight.values()
            if not each.ownership.is_owned and self._is_finished(each.offset)
        ]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retry at once, and log nothing: thousands of errors are made here."""
    monkeypatch.setattr(reporter, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(partition, "LEAST_FINISHED", 1)
    monkeypatch.setattr(partition, "SEEK_RECORDS", 2)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(4))
@pytest.mark.usefixtures("quick")
def test_every_job_ends_once_and_nothing_is_left(part: int) -> None:
    """No second end, no start after the end, no commit too early, no slot or heartbeat too many."""
    for seed in range(part, HISTORIES, 4):
        history = History(seed)
        history.run()
        assert set(history.topic.ended.values()) <= {1}, seed
        if not history.is_stopping:
            assert history.committed.offset == JOBS, seed
        if not history.unnoticed:
            assert not history.assignment.in_flight, seed
            assert (history.slots.taken, history.ticking) == (0, {}), seed
