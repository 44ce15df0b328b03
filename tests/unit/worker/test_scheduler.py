"""What the scheduler does with requests while partitions come, go and are lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import BrokerUnreachable, TopicNotFound
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.worker import JobContext, ledger
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.holdings import Holdings
from kafka_bridge.worker.job_run import JobRun
from kafka_bridge.worker.ledger import CLOCK_SKEW_SECONDS, Ledger, Page
from kafka_bridge.worker.observation import Observer
from kafka_bridge.worker.posts import Posts
from kafka_bridge.worker.scheduler import Scheduler
from kafka_bridge.worker.slots import Slots
from kafka_bridge.worker.standing import Standing

Delivered = Callable[[Exception | None], None]


class Brokers:
    """Takes events, and acknowledges them when told to."""

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

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.brokers = Brokers()
        self.submitted: list[JobRun] = []
        self.reads: list[float] = []
        self.unreadable: dict[str, Exception] = {}
        self.finished: set[bytes] = set()
        monkeypatch.setattr(ledger, "read_page", self._read_page)
        self.control_failures: list[Exception] = []
        control: Any = SimpleNamespace(reasons={}, catch_up=self._catch_up)
        posts, slots = Posts(), Slots(1)
        heartbeats: Any = SimpleNamespace(add=lambda _: None, remove=lambda _: None)
        self.scheduler = Scheduler(
            handlers={"a.job": Handler.of("a.job", _nothing)},
            worker_id="w-1",
            max_deliveries=5,
            producer=cast(Any, self.brokers),
            control=control,
            ledger=Ledger(
                KafkaConfig({"bootstrap.servers": "nobody"}), control, Observer(), posts.post
            ),
            dead_letters=cast(Any, SimpleNamespace(set_aside=lambda _record, _error, done: done())),
            executor=cast(
                Any,
                SimpleNamespace(
                    submit=self.submitted.append,
                    start_waiting=lambda: None,
                    give_way=lambda _: None,
                    started=0,
                ),
            ),
            holdings=Holdings(Observer(), heartbeats, slots, posts.post),
            standing=Standing(30.0),
            observer=Observer(),
            posts=posts,
            slots=slots,
        )

    def _catch_up(self, _: float) -> None:
        if self.control_failures:
            raise self.control_failures.pop()

    def _read_page(
        self, _config: object, topic: str, since: float, epoch: int, _skipped: object
    ) -> Page:
        self.reads.append(since)
        if (error := self.unreadable.get(topic)) is not None:
            raise error
        return Page(since, epoch, frozenset(self.finished))

    def request(self, **fields: Any) -> JobRequest:
        """Return a request that the scheduler has a handler for."""
        defaults = {"job_type": "a.job", "response_topic": "answers", "created_at": utc_now()}
        return JobRequest(correlation_id=new_correlation_id(), **{**defaults, **fields})

    def arrives(self, job: JobRequest, offset: int, partition: int = 0) -> None:
        """Have a request come in."""
        value = encode(job, Encoding.AVRO)
        record = SimpleNamespace(partition=partition, offset=offset, value=value, record=None)
        record.decode = lambda kind: decode(kind, value)
        self.scheduler.receive([cast(Received, record)])

    def until(self, condition: Callable[[], object]) -> None:
        """Have the scheduler work until something is so."""
        give_up = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < give_up
            self.scheduler.work()
            self.scheduler.posts.wait(0.01)
        self.scheduler.work()


def _nothing(_: JobContext) -> None:
    """Do nothing."""


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Give a scheduler that has partition 0."""
    stage = Stage(monkeypatch)
    stage.scheduler.holdings.assigned([0])
    return stage


def test_request_that_waited_long_is_begun(stage: Stage) -> None:
    """One reading of the response topic reaches back to the request that it was begun for."""
    stage.arrives(stage.request(created_at=utc_now() - timedelta(hours=1)), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert len(stage.reads) == 1


def test_request_from_the_future_has_the_present_read(stage: Stage) -> None:
    """A wrong clock at the sender must not hide what was said of its job a moment ago."""
    stage.arrives(stage.request(created_at=utc_now() + timedelta(hours=1)), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert stage.reads[0] <= time.time() - CLOCK_SKEW_SECONDS


def test_place_is_free_again_where_a_job_is_lost_before_it_is_accepted(stage: Stage) -> None:
    """A job that nobody starts holds no place: here its ACCEPTED never reached the brokers."""
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.scheduler.lost([0])
    stage.brokers.acknowledge(BrokerUnreachable("gone"))
    stage.scheduler.holdings.assigned([1])
    stage.arrives(stage.request(), 0, partition=1)
    stage.until(lambda: len(stage.brokers.events) == 2)


def test_place_is_given_back_once(stage: Stage) -> None:
    """An ACCEPTED that arrives after its job was given up has it submitted, to end at once."""
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.scheduler.lost([0])
    stage.scheduler.holdings.assigned([])
    stage.brokers.acknowledge()
    (run,) = stage.submitted
    stage.scheduler.handler_ended(run)
    assert stage.scheduler.slots.taken == 0


def test_end_that_was_lost_on_its_way_is_said_once_its_partition_is_back(stage: Stage) -> None:
    """A job that is ended without a start ends, though its partition was lost meanwhile."""
    job = stage.request(job_type="unheard.of")
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.FAILED])
    stage.scheduler.lost([0])
    stage.brokers.acknowledge(BrokerUnreachable("gone"))
    stage.scheduler.holdings.assigned([0])
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.FAILED] * 2)
    stage.brokers.acknowledge()
    stage.until(lambda: stage.scheduler.holdings.positions([0]) == {0: 1})


def test_job_that_was_set_aside_while_its_partition_was_lost_is_judged_anew(stage: Stage) -> None:
    """What is done with in the meantime is not taken up again: nothing would ever finish it."""
    job = stage.request()
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    stage.brokers.acknowledge()
    run = stage.submitted.pop()
    run.run()
    stage.scheduler.handler_ended(run)
    stage.scheduler.lost([0])
    stage.scheduler.holdings.assigned([0])
    stage.brokers.acknowledge(TopicNotFound("no topic 'answers'"))
    stage.until(lambda: not stage.scheduler.holdings.in_hand)
    stage.arrives(job, 0)
    stage.until(lambda: stage.brokers.states[-1:] == [JobState.ACCEPTED])
    assert list(stage.scheduler.holdings.in_hand) == [job.correlation_id]


@pytest.mark.parametrize("error", [BrokerUnreachable("an open transaction"), RuntimeError("oh")])
def test_response_topic_that_cannot_be_read_holds_up_no_other(
    stage: Stage, error: Exception
) -> None:
    """Its jobs wait; those that answer elsewhere are begun, whatever it is that fails."""
    stage.unreadable["broken"] = error
    stage.arrives(stage.request(response_topic="broken"), 0)
    job = stage.request()
    stage.arrives(job, 1)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])
    assert list(stage.scheduler.holdings.in_hand) == [job.correlation_id]


def test_control_topic_that_is_gone_condemns_no_request(stage: Stage) -> None:
    """Requests go to the dead letters for want of a topic to answer on, and of no other."""
    stage.control_failures.append(TopicNotFound("no topic 'jobs.control'"))
    stage.arrives(stage.request(), 0)
    stage.until(lambda: stage.brokers.states == [JobState.ACCEPTED])


def test_request_of_a_partition_that_has_just_gone_is_left_to_its_new_owner(stage: Stage) -> None:
    """One poll may bring a request, and then take its partition away."""
    job = stage.request()
    stage.scheduler.holdings.forget([0])
    stage.arrives(job, 0)
    stage.scheduler.work()
    assert (len(stage.scheduler.backlog), stage.brokers.states) == (0, [])
