"""The board's metrics: what scaling needs to know."""

from __future__ import annotations

import re

import pytest

from kafka_bridge.board import metrics
from kafka_bridge.board.access import AccessOf, TokenAccess, full_access
from kafka_bridge.monitor import book
from kafka_bridge.protocol.messages import JobState

from .boards import Follower, OnlyDag, Source, client

TOKEN = "a-token-that-is-long-enough"


async def scrape(source: Source, access_of: AccessOf = full_access) -> dict[str, float]:
    """Return the board's samples by name and labels."""
    async with client(source, access_of) as board:
        response = await board.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    found = re.findall(r"^kafka_bridge_board_(\S+) (\S+)$", response.text, flags=re.MULTILINE)
    return {name: float(value) for name, value in found}


async def test_waiting_and_running_jobs_are_counted_by_topic_and_type() -> None:
    """With the age of the oldest, and the workers that have jobs."""
    source = Source()
    source.submit(1)
    source.submit(2)
    source.report(source.submit(3, job_type="files.copy"), JobState.RUNNING, worker_id="w-1")
    found = await scrape(source)
    assert found["up_to_date"] == 1
    assert found['jobs_queued{job_type="files.audit",topic="jobs.requests"}'] == 2
    assert found['oldest_queued_seconds{job_type="files.audit",topic="jobs.requests"}'] > 0
    assert found['jobs_running{job_type="files.audit",topic="jobs.requests"}'] == 0
    assert found['jobs_running{job_type="files.copy",topic="jobs.requests"}'] == 1
    assert found['workers{state="silent",topic="jobs.requests"}'] == 1  # its event is old


async def test_topic_without_jobs_says_zero() -> None:
    """A sum over the topic has a value from the start."""
    found = await scrape(Source())
    assert found['jobs_queued{job_type="(none)",topic="jobs.requests"}'] == 0


async def test_ended_jobs_are_counted_once_and_leave_a_zero() -> None:
    """A repeated end does not count, and an end that is read before its request does."""
    source = Source()
    job = source.submit(1)
    for _ in range(3):
        source.report(job, JobState.SUCCEEDED)
    source.report("0d3b9a52-61f4-4c0e-9b7d-000000000002", JobState.FAILED)
    labels = 'job_type="files.audit",state="{}",topic="jobs.requests"'
    assert f"jobs_ended_total{{{labels.format('FAILED')}}}" not in await scrape(source)
    source.submit(2)
    found = await scrape(source)
    assert found[f"jobs_ended_total{{{labels.format('SUCCEEDED')}}}"] == 1
    assert found[f"jobs_ended_total{{{labels.format('FAILED')}}}"] == 1
    assert found['jobs_queued{job_type="files.audit",topic="jobs.requests"}'] == 0


@pytest.mark.parametrize(
    "follower",
    [Follower(has_caught_up=False), Follower("no broker answers at kafka:9092", is_live=False)],
)
async def test_numbers_that_would_be_wrong_are_absent(follower: Follower) -> None:
    """A scaler that finds nothing changes nothing."""
    source = Source(follower=follower)
    source.submit(1)
    assert await scrape(source) == {"up_to_date": 0}


async def test_invented_job_types_do_not_make_series_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any client may write requests. Names with quotes and newlines stay labels."""
    monkeypatch.setattr(metrics, "MOST_TYPES", 2)
    monkeypatch.setattr(book, "MOST_COUNTS", 2)
    source = Source()
    for number in range(20):
        source.submit(number, job_type=f"queued.{number}")
        source.report(source.submit(100 + number, job_type=f"e.{number}"), JobState.FAILED)
    found = await scrape(source)
    queued = {name: value for name, value in found.items() if name.startswith("jobs_queued")}
    ended = {name: value for name, value in found.items() if name.startswith("jobs_ended_total")}
    assert sum(queued.values()) == sum(ended.values()) == 20
    assert max(len(queued), len(ended)) <= 6
    assert ended['jobs_ended_total{job_type="(others)",state="FAILED",topic="jobs.requests"}'] == 18


async def test_job_type_cannot_forge_a_sample() -> None:
    """It is a label, whatever its text."""
    source = Source()
    source.submit(1, job_type='a"} 1\nkafka_bridge_board_jobs_queued{topic="x"} 9')
    async with client(source) as board:
        text = (await board.get("/metrics")).text
    assert not re.search(r'^kafka_bridge_board_jobs_queued\{topic="x"\}', text, flags=re.MULTILINE)


async def test_metrics_need_the_token_and_all_jobs() -> None:
    """As every other answer; who may see some of the jobs gets no sums over all of them."""
    source = Source()
    async with client(source, TokenAccess(TOKEN)) as board:
        without = await board.get("/metrics")
        bearer = await board.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    async with client(source, lambda _: OnlyDag()) as board:
        some = await board.get("/metrics")
    assert [each.status_code for each in (without, bearer, some)] == [401, 200, 403]


async def test_metrics_are_under_the_prefix() -> None:
    """Where a proxy leads to the page, it leads to them."""
    async with client(Source(), prefix="/team/jobs") as board:
        assert (await board.get("/metrics")).status_code == 200
