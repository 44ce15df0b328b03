"""Which events of a job are published, and when: what must arrive, and what may be left out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from kafka_bridge.protocol.checkpoint import CHECKPOINT
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import (
    AccessDenied,
    BrokerUnreachable,
    DeliveryFailed,
    RecordTooLarge,
    TopicNotFound,
)
from kafka_bridge.protocol.messages import JobState, Progress, StatusEvent
from kafka_bridge.testing import FakeClock
from kafka_bridge.testing.fakes import FakeRecordProducer
from kafka_bridge.worker.runtime import reporter as module
from kafka_bridge.worker.runtime.reporter import (
    CHECKPOINT_SECONDS,
    DENIED_SECONDS,
    HEARTBEAT_SHARE,
    PROGRESS_SECONDS,
    RETRY_SECONDS,
    JobReporter,
)
from kafka_bridge.worker.runtime.topic_access import TopicAccess
from unit.clocks import clock_of

from ..samples import Collector, request

S = JobState
INTERVAL = 10.0


class Stage:
    """The reporter of one job whose brokers, clock and membership are in the test's hands."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.producer = FakeRecordProducer()
        self.is_certain = True
        self.access = TopicAccess()
        self.settled: list[Any] = []
        self.reporter = JobReporter(
            self.producer,
            request(heartbeat_interval_ms=int(INTERVAL * 1000)),
            Encoding.AVRO,
            "w-1",
            may_publish=lambda: self.is_certain,
            access=self.access,
        )

    def accept(self) -> None:
        """Publish ACCEPTED."""
        self.reporter.accepted(self.settled.append)

    def finish(self, state: JobState = S.SUCCEEDED) -> None:
        """Publish the terminal event."""
        self.reporter.finished(state, lambda *settled: self.settled.append(settled))

    def tick_after(self, seconds: float) -> None:
        """Let time pass, and the heartbeat thread look at the job."""
        self.clock.advance(seconds)
        self.reporter.tick()

    @property
    def events(self) -> list[StatusEvent]:
        """What was handed to the producer, the same event again and again where it was."""
        return [record.decode(StatusEvent) for record in self.producer.sent]

    @property
    def states(self) -> list[JobState]:
        """The states of those."""
        return [event.state for event in self.events]


clock = clock_of(module)


@pytest.fixture
def stage(clock: FakeClock) -> Stage:
    """Give the reporter of a job, of which nothing was published yet."""
    return Stage(clock)


# Heartbeats and progress.


class Timeline:
    """A reporter that is ticked every 10 ms, and when each of its events was published."""

    def __init__(self, clock: FakeClock, collector: Collector, **fields: Any) -> None:
        self.reporter = JobReporter(
            collector, request(**fields), Encoding.AVRO, "w-1", lambda: True
        )
        self.reporter.accepted(lambda _: None)
        self._clock = clock
        self._collector = collector
        self._begin = clock.now
        self._at = [0.0]

    def tick(self) -> None:
        """Pass 10 ms."""
        self.note()
        self._clock.advance(0.01)
        self.reporter.tick()
        self.note()

    def note(self) -> None:
        """Note when the latest events were published."""
        new = len(self._collector.events) - len(self._at)
        self._at += [self._clock.now - self._begin] * new

    def end(self) -> list[tuple[float, StatusEvent]]:
        """Publish the terminal event; return all events, with the seconds since the first one."""
        self.reporter.finished(S.SUCCEEDED, lambda *_: None)
        self.note()
        return list(zip(self._at, self._collector.events, strict=True))


def test_latest_progress_is_published_twice_a_second(clock: FakeClock) -> None:
    """Of many values the newest one is published, and none after the terminal event."""
    timeline = Timeline(clock, Collector())
    for done in range(1, 131):
        timeline.reporter.progress(done, 10**9, "rows", f"row {done}")
        timeline.tick()
    times, events = zip(*timeline.end(), strict=True)
    assert [event.state for event in events] == [S.ACCEPTED, *[S.RUNNING] * 3, S.SUCCEEDED]
    assert times[1:4] == pytest.approx([PROGRESS_SECONDS, 2 * PROGRESS_SECONDS, 1.3], abs=0.02)
    assert events[3].progress == Progress(130, 10**9, "rows")
    assert all(e.message == f"row {e.progress.completed:.0f}" for e in events if e.progress)
    assert [event.sequence for event in events] == list(range(len(events)))


@pytest.mark.parametrize("interval_ms", [100, 200, 650])
def test_frequent_heartbeats_do_not_delay_progress(clock: FakeClock, interval_ms: int) -> None:
    """Progress and messages are published beside them, the last ones before the terminal event."""
    timeline = Timeline(clock, Collector(), heartbeat_interval_ms=interval_ms)
    for done in range(130):
        timeline.reporter.progress(done, None, None)
        timeline.reporter.message(f"at {done}")
        timeline.tick()
    timeline.reporter.progress(10_000, None, None)
    *events, _ = timeline.end()
    progress = [(at, event) for at, event in events if event.progress is not None]
    heartbeats = [event for _, event in events if event.progress is None][1:]
    assert [at for at, _ in progress] == pytest.approx([0.5, 1.0, 1.3], abs=0.03)
    assert all(event.message is not None for _, event in progress)
    assert progress[-1][1].progress == Progress(10_000.0)
    assert len(heartbeats) >= (6 if interval_ms < 650 else 0)


@pytest.mark.parametrize("interval_ms", [200, 10_000])
def test_heartbeats_keep_the_interval_of_the_request(clock: FakeClock, interval_ms: int) -> None:
    """There is an event in each interval, and not many more."""
    timeline = Timeline(clock, Collector(), heartbeat_interval_ms=interval_ms)
    for _ in range(5 * interval_ms // 10):
        timeline.tick()
    *heartbeats, _ = timeline.end()
    assert all(event.progress is None for _, event in heartbeats)
    pauses = [after - before for (before, _), (after, _) in pairwise(heartbeats)]
    assert len(pauses) >= 5
    assert all(0.5 <= 1_000 * pause / interval_ms <= 1.0 for pause in pauses)


def test_request_may_ask_for_no_heartbeats(clock: FakeClock) -> None:
    """Then nothing is published while the handler works."""
    timeline = Timeline(clock, Collector(), heartbeat_interval_ms=0)
    for _ in range(2_000):
        timeline.tick()
    assert [event.state for _, event in timeline.end()] == [S.ACCEPTED, S.SUCCEEDED]


@pytest.mark.parametrize("end", [S.SUCCEEDED, S.FAILED, S.CANCELLED, S.RELEASED])
def test_last_progress_is_published_before_the_terminal_event(end: JobState) -> None:
    """However soon the end follows, and however it ends."""
    collector = Collector()
    reporter = JobReporter(collector, request(), Encoding.AVRO, "w-1", lambda: True)
    reporter.accepted(lambda _: None)
    reporter.progress(9, 10, "files", "nearly done")
    reporter.progress(10, 10, "files")
    if end is S.RELEASED:
        reporter.released("shutting down", lambda _: None)
    else:
        reporter.finished(end, lambda *_: None)
    accepted, told, ended = collector.events
    assert [accepted.state, told.state, ended.state] == [S.ACCEPTED, S.RUNNING, end]
    assert (told.progress, told.message) == (Progress(10.0, 10.0, "files"), "nearly done")
    assert [event.sequence for event in collector.events] == [0, 1, 2]


def test_heartbeat_is_due_in_time_to_arrive_within_the_interval(stage: Stage) -> None:
    """Counted from the last event, whatever that was."""
    stage.accept()
    stage.tick_after(INTERVAL * HEARTBEAT_SHARE - 0.1)
    assert stage.states == [S.ACCEPTED]
    stage.tick_after(0.1)
    assert stage.states == [S.ACCEPTED, S.RUNNING]
    stage.clock.advance(5.0)
    stage.reporter.publish_message("half done")
    stage.tick_after(INTERVAL * HEARTBEAT_SHARE - 0.1)
    assert len(stage.events) == 3
    stage.tick_after(0.1)
    assert len(stage.events) == 4


def test_heartbeats_begin_with_the_first_event_and_stop_with_the_last_one(stage: Stage) -> None:
    """A job that is only queued has none; one that has ended runs no more."""
    stage.tick_after(2 * INTERVAL)
    assert stage.events == []
    stage.accept()
    stage.finish()
    stage.tick_after(2 * INTERVAL)
    assert stage.states == [S.ACCEPTED, S.SUCCEEDED]


def test_heartbeat_has_the_note_of_a_job_that_should_stop(stage: Stage) -> None:
    """So the task's log shows why the job is still there."""
    stage.accept()
    stage.reporter.note = "Asked to stop, but still running"
    stage.tick_after(INTERVAL)
    assert stage.events[-1].message == "Asked to stop, but still running"


def test_worker_that_may_not_publish_drops_heartbeats_and_keeps_the_latest_progress(
    stage: Stage,
) -> None:
    """Another worker may have the job, until the group has confirmed this one."""
    stage.accept()
    stage.is_certain = False
    stage.clock.advance(PROGRESS_SECONDS)
    stage.reporter.progress(1, 10, "rows")
    stage.reporter.publish_message("at it")
    stage.tick_after(2 * INTERVAL)
    assert stage.states == [S.ACCEPTED]
    stage.is_certain = True
    stage.reporter.tick()
    assert [each.progress for each in stage.events[1:]] == [Progress(1.0, 10.0, "rows")]
    assert [each.sequence for each in stage.events] == [0, 1], "no number is left out"


# Checkpoints.


def checkpoints(stage: Stage) -> list[str | None]:
    """Return the checkpoints of the events so far."""
    return [event.attributes.get(CHECKPOINT) for event in stage.events]


def test_checkpoint_is_published_at_once_and_repeated(stage: Stage) -> None:
    """It does not wait for the pause of progress; heartbeats and the release have it, too."""
    stage.accept()
    stage.reporter.progress(1, 2, "rows")
    stage.reporter.save_checkpoint("1")
    assert (stage.states, checkpoints(stage)) == ([S.ACCEPTED, S.RUNNING], [None, "1"])
    stage.tick_after(INTERVAL)
    stage.tick_after(INTERVAL)
    stage.reporter.released("stopping", lambda _: None)
    assert stage.states[2:] == [S.RUNNING, S.RUNNING, S.RELEASED]
    assert checkpoints(stage)[2:] == ["1", "1", "1"]


def test_checkpoints_in_a_loop_are_few_events_with_the_latest_one(stage: Stage) -> None:
    """Also if the request asks for no heartbeats, and the same one again is none."""
    stage.reporter.request = request(heartbeat_interval_ms=0)
    stage.accept()
    for step in range(100):
        stage.reporter.save_checkpoint(str(step))
        stage.reporter.save_checkpoint(str(step))
        stage.tick_after(CHECKPOINT_SECONDS / 20)
    stage.tick_after(CHECKPOINT_SECONDS)
    assert 6 <= len(stage.events) <= 8
    assert checkpoints(stage)[1] == "0"
    assert checkpoints(stage)[-1] == "99"
    stage.tick_after(INTERVAL)
    assert checkpoints(stage).count("99") == 1


def test_checkpoint_waits_while_the_worker_may_not_publish(stage: Stage) -> None:
    """It is published as soon as the group has confirmed the worker."""
    stage.accept()
    stage.is_certain = False
    stage.reporter.save_checkpoint("1")
    stage.tick_after(CHECKPOINT_SECONDS)
    assert stage.states == [S.ACCEPTED]
    stage.is_certain = True
    stage.reporter.tick()
    assert checkpoints(stage) == [None, "1"]


def test_last_checkpoint_is_published_before_the_terminal_event(stage: Stage) -> None:
    """If the worker dies between the two, the next delivery has little to do."""
    stage.accept()
    stage.reporter.save_checkpoint("1")
    stage.reporter.save_checkpoint("2")
    stage.finish()
    assert stage.states == [S.ACCEPTED, S.RUNNING, S.RUNNING, S.SUCCEEDED]
    assert checkpoints(stage) == [None, "1", "2", None]
    stage.reporter.save_checkpoint("3")
    stage.tick_after(INTERVAL)
    assert len(stage.events) == 4, "nothing follows"


def test_checkpoint_that_the_topic_does_not_take_is_dropped(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Heartbeats must go on: without them the task takes the worker for lost."""
    stage.accept()
    stage.producer.fail(RecordTooLarge("the topic takes 100 bytes"))
    stage.reporter.save_checkpoint('"long"')
    stage.tick_after(INTERVAL)
    assert checkpoints(stage) == [None, '"long"', None]
    assert "its checkpoint was not saved: the topic takes 100 bytes" in caplog.text


def test_message_that_makes_an_event_too_large_does_not_cost_the_checkpoint(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The checkpoint is published again without it, at once."""
    stage.accept()
    stage.reporter.save_checkpoint('"short"')
    stage.producer.fail(RecordTooLarge("the topic takes 100 bytes"))
    stage.reporter.publish_message("long")
    stage.tick_after(INTERVAL)
    assert checkpoints(stage) == [None, *['"short"'] * 4]
    assert [event.message for event in stage.events] == [None, None, "long", None, None]
    assert "a message, or lines of its log, are lost: the topic takes 100 bytes" in caplog.text
    assert "its checkpoint was not saved" not in caplog.text


def test_newer_checkpoint_is_kept_when_an_older_one_was_too_large(stage: Stage) -> None:
    """The brokers' answer for the older one may come later than the newer one."""
    stage.accept()
    stage.producer.hold()
    stage.reporter.save_checkpoint('"long"')
    stage.reporter.save_checkpoint('"short"')
    stage.producer.acknowledge(RecordTooLarge("the topic takes 100 bytes"), most=1)
    stage.producer.release()
    stage.tick_after(INTERVAL)
    assert checkpoints(stage)[-1] == '"short"'


# Events that must arrive.


def test_event_that_must_arrive_waits_until_the_worker_may_publish(stage: Stage) -> None:
    """It is handed to the producer once, whoever looks at it meanwhile."""
    stage.producer.hold()
    stage.is_certain = False
    stage.accept()
    stage.tick_after(INTERVAL)
    assert stage.states == []
    stage.is_certain = True
    for _ in range(3):
        stage.tick_after(INTERVAL)
    assert (stage.states, stage.settled) == ([S.ACCEPTED], [])
    stage.producer.release()
    assert stage.settled == [None]


@pytest.mark.parametrize("error", [BrokerUnreachable("silence"), DeliveryFailed("no leader")])
def test_event_is_sent_again_after_a_pause_until_the_brokers_have_it(
    stage: Stage, error: Exception
) -> None:
    """The very same event: a reader that sees it twice knows it by its id."""
    stage.producer.fail(error, times=2)
    stage.accept()
    for sent in (2, 3):
        stage.tick_after(RETRY_SECONDS - 0.1)
        assert len(stage.events) == sent - 1
        stage.tick_after(0.1)
        assert len(stage.events) == sent
    assert stage.settled == [None]
    assert len({event.event_id for event in stage.events}) == 1
    stage.tick_after(RETRY_SECONDS)
    assert len(stage.events) == 3


def test_nothing_else_is_published_while_an_event_is_on_its_way(stage: Stage) -> None:
    """A heartbeat would be of no use to a task that does not know that its job is accepted."""
    stage.producer.hold()
    stage.accept()
    stage.tick_after(2 * INTERVAL)
    assert stage.states == [S.ACCEPTED]
    stage.producer.release()
    stage.reporter.tick()
    assert stage.states == [S.ACCEPTED, S.RUNNING]


def test_missing_permission_is_waited_for_on_a_topic_that_was_used_before(stage: Stage) -> None:
    """Finished work must not be lost for a moment without permission."""
    stage.accept()
    stage.producer.fail(AccessDenied("not now"))
    stage.finish()
    stage.tick_after(DENIED_SECONDS - 0.1)
    assert stage.settled == [None]
    stage.tick_after(0.1)
    assert stage.settled == [None, (S.SUCCEEDED, None)]


@pytest.mark.parametrize("error", [AccessDenied("never"), TopicNotFound("no such topic")])
def test_topic_that_this_worker_could_never_use_settles_the_event_at_once(
    stage: Stage, error: Exception
) -> None:
    """Whoever sends requests may name any topic: that must not block the worker."""
    stage.producer.fail(error)
    stage.accept()
    stage.tick_after(2 * DENIED_SECONDS)
    assert (stage.settled, stage.states[0], len(stage.settled)) == ([error], S.ACCEPTED, 1)


# The end.


@pytest.mark.parametrize("end", [S.SUCCEEDED, S.FAILED, S.CANCELLED])
def test_nothing_follows_the_terminal_event(stage: Stage, end: JobState) -> None:
    """A thread of the handler's own may go on reporting."""
    stage.accept()
    stage.finish(end)
    stage.clock.advance(PROGRESS_SECONDS)
    stage.reporter.progress(1, 2, "rows")
    stage.reporter.message("late")
    stage.reporter.publish_message("later")
    stage.tick_after(INTERVAL)
    assert not stage.reporter.released("shutting down", lambda _: pytest.fail("it was released"))
    assert stage.states == [S.ACCEPTED, end]
    assert stage.reporter.has_ended


def test_released_job_has_no_other_end(stage: Stage) -> None:
    """Its handler may return before it hears of that: another worker does the job again."""
    stage.accept()
    assert stage.reporter.released("shutting down", stage.settled.append)
    stage.finish()
    assert not stage.reporter.released("again", lambda _: pytest.fail("it was released again"))
    assert (stage.states, stage.settled) == ([S.ACCEPTED, S.RELEASED], [None, None])
    assert stage.reporter.has_ended
    assert not stage.reporter.has_sent_end


def test_abandoned_job_publishes_nothing_more_not_even_what_must_arrive(stage: Stage) -> None:
    """Its new owner publishes its own events."""
    stage.producer.fail(BrokerUnreachable("silence"))
    stage.accept()
    stage.reporter.abandon()
    stage.tick_after(INTERVAL)
    stage.finish()
    assert (stage.states, stage.settled) == ([S.ACCEPTED], [])
    assert stage.reporter.has_ended


def _hold(stage: Stage) -> None:
    stage.producer.hold()


def _refuse(stage: Stage) -> None:
    stage.producer.fail(BrokerUnreachable("silence"))


def _doubt(stage: Stage) -> None:
    stage.is_certain = False


@pytest.mark.parametrize(
    ("hinder", "is_sent"),
    [(lambda _: None, True), (_hold, True), (_refuse, False), (_doubt, False)],
    ids=["acknowledged", "on its way", "refused", "not sent yet"],
)
def test_end_counts_as_sent_while_the_brokers_may_have_it(
    stage: Stage, hinder: Callable[[Stage], None], is_sent: bool
) -> None:
    """Only then may the ledger show it as this worker's own."""
    stage.accept()
    assert not stage.reporter.has_sent_end
    hinder(stage)
    stage.finish()
    assert stage.reporter.has_sent_end is is_sent
