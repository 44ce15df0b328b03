"""When the events of a job are published: progress, heartbeats, and events that are sent again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import BrokerUnreachable, DeliveryFailed
from kafka_bridge.protocol.messages import JobState, Progress, StatusEvent
from kafka_bridge.testing import FakeClock
from kafka_bridge.worker.runtime import reporter
from kafka_bridge.worker.runtime.reporter import PROGRESS_SECONDS, RETRY_SECONDS, JobReporter

from ..samples import Collector, request

S = JobState


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Give the clock by which events are published."""
    clock = FakeClock()
    monkeypatch.setattr(reporter, "time", clock)
    return clock


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


@pytest.mark.parametrize("error", [BrokerUnreachable("silence"), DeliveryFailed("refused")])
def test_event_is_sent_again_until_it_is_acknowledged(clock: FakeClock, error: Exception) -> None:
    """A broker that is away delays an event and does not lose it; tries have a pause."""
    tries: list[float] = []
    settled: list[BaseException | None] = []

    def refuse(_: StatusEvent) -> Exception | None:
        tries.append(clock.now)
        return error if len(tries) <= 3 else None

    collector = Collector(refuse)
    reporter = JobReporter(collector, request(), Encoding.AVRO, "w-1", lambda: True)
    reporter.accepted(settled.append)
    while not settled:
        clock.advance(RETRY_SECONDS / 4)
        reporter.tick()
    assert [later - earlier for earlier, later in pairwise(tries)] == [RETRY_SECONDS] * 3
    assert settled == [None]
    reporter.finished(S.SUCCEEDED, lambda *_: None)
    assert [event.state for event in collector.events] == [S.ACCEPTED, S.SUCCEEDED]


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
