"""The stream of changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from anyio import CapacityLimiter

from kafka_bridge.board import stream
from kafka_bridge.board.access import Access, FullAccess
from kafka_bridge.board.answers import Changes
from kafka_bridge.board.queries import Summaries
from kafka_bridge.board.source import PATIENCE_SECONDS, FollowedJobs, KafkaJobs
from kafka_bridge.board.stream import ChangeReader, Shown, Wanted
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.monitor.book import JobBook, Limits
from kafka_bridge.monitor.jobs import ShownState
from kafka_bridge.monitor.reading import MonitoredTopics
from kafka_bridge.monitor.selection import JobSelection
from kafka_bridge.protocol.messages import JobState
from unit.monitor.records import seconds

from .boards import Follower, OnlyDag, Source, client

if TYPE_CHECKING:
    from conftest import Eventually


FULL = FullAccess()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def reader(source: Source, *shown: Shown, clock: Clock | None = None, **fields: Any) -> Any:
    """Return what reads the changes of a source, without the first message."""
    wanted = Wanted(
        fields.pop("access", FullAccess()),
        frozenset(shown or [Shown.JOBS]),
        JobSelection(**fields.pop("selection", {})),
        fields.pop("since", None),
    )
    return ChangeReader(source.jobs, wanted, Summaries(0), clock or Clock())


def test_changed_jobs_come_once() -> None:
    """First how things are, then what is new, then nothing."""
    source = Source()
    job = source.submit()
    changes = reader(source)
    first = changes.read()
    assert (first.jobs, first.reload, first.status.problems) == (None, False, [])
    assert not changes.is_due
    source.report(job, JobState.RUNNING)
    assert changes.is_due
    (changed,) = changes.read().jobs
    assert (changed.correlation_id, changed.state) == (job, ShownState.RUNNING)
    assert not changes.is_due
    assert changes.read() is None


def test_changes_since_the_last_message_are_not_lost() -> None:
    """A browser that connects again says which one it has."""
    source = Source()
    job = source.submit()
    version = reader(source).read().status.version
    source.report(job, JobState.RUNNING)
    assert [each.correlation_id for each in reader(source, since=version).read().jobs] == [job]


@pytest.mark.parametrize("since", ["0000-1", "", "x", "-", "{epoch}-999", "{epoch}-1e3"])
def test_version_of_another_reading_asks_for_all_jobs_again(since: str) -> None:
    """The follower was closed in between, or the browser sends nonsense."""
    source = Source()
    source.submit()
    changes = reader(source, since=since.format(epoch=source.jobs.epoch))
    assert changes.read().reload
    assert changes.read() is None


def test_very_many_changes_ask_for_all_jobs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message stays small."""
    monkeypatch.setattr(stream, "MOST_CHANGES", 2)
    source = Source()
    source.submit(1)
    changes = reader(source)
    changes.read()
    for number in range(2, 5):
        source.submit(number)
    found = changes.read()
    assert (found.reload, found.jobs) == (True, None)


def test_job_that_no_longer_fits_the_filter_is_removed() -> None:
    """And one that the visitor may not see is in no message."""
    source = Source()
    mine = source.submit(1)
    other = source.submit(2, task=None)
    changes = reader(source, access=OnlyDag(), selection={"states": {ShownState.QUEUED}})
    changes.read()
    source.report(mine, JobState.RUNNING)
    source.report(other, JobState.RUNNING)
    found = changes.read()
    assert (found.jobs, found.removed) == ([], [mine])


def test_dropped_jobs_are_named_only_to_those_that_may_see_them() -> None:
    """The ids of other jobs are no news for this visitor."""
    source = Source(JobBook(Limits(ended=1), now=lambda: seconds(3_600)))
    mine, other = source.submit(1), source.submit(2, task=None)
    changes = reader(source, access=OnlyDag())
    changes.read()
    for job in (mine, other, source.submit(3)):
        source.report(job, JobState.SUCCEEDED)
    assert changes.read().removed == [mine]


def test_summaries_come_every_few_seconds() -> None:
    """Rates and silent workers change, even if nothing is published."""
    source, clock = Source(), Clock()
    source.submit()
    changes = reader(source, Shown.QUEUES, Shown.WORKERS, clock=clock)
    first = changes.read()
    assert [each.queued for each in first.queues] == [1]
    assert (first.workers, first.jobs) == ([], None)
    source.submit(2)
    assert changes.read() is None
    clock.now += stream.SUMMARY_SECONDS
    assert changes.is_due
    assert [each.queued for each in changes.read().queues] == [2]


def test_kafka_that_goes_away_is_a_message() -> None:
    """So is its return. A moment of silence is not."""
    source, clock = Source(), Clock()
    source.jobs = FollowedJobs(source.book, source.follower, clock)
    changes = reader(source)
    changes.read()
    source.follower.is_live = False
    assert not changes.is_due
    clock.now += PATIENCE_SECONDS
    assert changes.is_due
    (problem,) = changes.read().status.problems
    assert "is not up to date" in problem
    source.follower.is_live = True
    assert changes.read().status.problems == []


def messages_of(
    source: Source,
    wanted: Wanted,
    is_ending: Callable[[], bool] = lambda: False,
    access_now: Access | None = FULL,
) -> AsyncIterator[str]:
    """Return a stream that does not pause."""

    async def access() -> Access | None:
        return access_now

    limiter = CapacityLimiter(1)
    return stream.events(source, wanted, Summaries(), limiter, is_ending, access, interval=0.0)


async def test_stream_sends_a_change_and_ends_with_the_server() -> None:
    """In the form of server-sent events; the jobs are followed meanwhile."""
    source = Source()
    job = source.submit()
    wanted = Wanted(FullAccess(), frozenset({Shown.JOBS}), JobSelection())
    ending: list[bool] = []
    messages = messages_of(source, wanted, lambda: bool(ending))
    assert await anext(messages) == "retry: 3000\n\n"
    assert _changes(await anext(messages)).jobs is None
    assert source.visitors == 1
    source.report(job, JobState.SUCCEEDED)
    (changed,) = _changes(await anext(messages)).jobs or []
    assert changed.state is ShownState.SUCCEEDED
    ending.append(True)
    assert [each async for each in messages] == []
    assert source.visitors == 0


def _changes(text: str) -> Changes:
    number, kind, data = text.removesuffix("\n\n").split("\n")
    changes = Changes.model_validate(json.loads(data.removeprefix("data: ")))
    assert number == f"id: {changes.status.version}"
    assert kind == "event: changes"
    return changes


@pytest.mark.parametrize("access_now", [None, OnlyDag()])
async def test_stream_ends_when_the_login_of_its_visitor_has_ended(
    monkeypatch: pytest.MonkeyPatch, access_now: Access | None
) -> None:
    """Or when it is another one: the browser connects again with what it has now."""
    wanted = Wanted(FULL, frozenset({Shown.JOBS}), JobSelection())
    messages = messages_of(Source(), wanted, access_now=access_now)
    assert len([await anext(messages) for _ in range(2)]) == 2
    monkeypatch.setattr(stream, "LOGIN_SECONDS", 0.0)
    assert [each async for each in messages] == []


async def test_silent_stream_sends_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy takes it for dead."""
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.0)
    wanted = Wanted(FullAccess(), frozenset({Shown.JOBS}), JobSelection())
    messages = messages_of(Source(), wanted)
    found = [await anext(messages) for _ in range(3)]
    await messages.aclose()  # type: ignore[attr-defined]
    assert found[2] == ": still connected\n\n"


async def test_stream_is_an_event_stream() -> None:
    """Nothing between keeps it back."""
    async with client(Source(), is_ending=lambda: True) as board:
        response = await board.get("/api/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.text == "retry: 3000\n\n"


def kafka_jobs(followers: list[Follower], idle: timedelta) -> KafkaJobs:
    """Return a source that notes its followers."""

    def follow(*_: object) -> Follower:
        followers.append(Follower())
        return followers[-1]

    config = KafkaConfig({"bootstrap.servers": "127.0.0.1:1"})
    topics = MonitoredTopics()
    return KafkaJobs(lambda: config, topics, timedelta(days=30), idle=idle, follow=follow)


def test_all_visitors_share_one_follower() -> None:
    """It is opened for the first one, and is still open shortly after the last one."""
    followers: list[Follower] = []
    source = kafka_jobs(followers, timedelta(hours=1))
    assert followers == []
    with source.visit() as first, source.visit() as second:
        assert first is second
    with source.visit() as third:
        assert third is first
    assert [each.is_closed for each in followers] == [False]
    source.close()
    assert followers[0].is_closed


def test_follower_is_closed_when_the_last_visitor_has_gone(eventually: Eventually) -> None:
    """The next visitor gets a new one, with a book of its own."""
    followers: list[Follower] = []
    source = kafka_jobs(followers, timedelta())
    with source.visit() as first:
        assert isinstance(first.book, JobBook)
    eventually(lambda: followers[0].is_closed, "the follower is closed")
    with source.visit() as second:
        assert second.epoch != first.epoch
        assert [each.is_closed for each in followers] == [True, False]
    source.close()
