"""``jobs list | show``, ``queues list`` and ``workers list``, with a book in place of a broker."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kafka_bridge.cli import monitored
from kafka_bridge.cli.app import app
from kafka_bridge.cli.jobs import show
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.intake import TopicKind
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.lookup import JobTimeline, TimelineEvent
from kafka_bridge.monitor.reading import HistoryReading, TopicProgress
from kafka_bridge.monitor.transitions import request_view, with_event, with_request
from kafka_bridge.protocol.errors import RecordGone, RecordLocation, TopicNotFound
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress, utc_now

from ..monitor.records import JOB, REQUESTS, RESPONSES, event, job_id, place, request
from .output import plain

ENVIRONMENT = {"COLUMNS": "60", "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
LONG_WORKER = "a-worker-with-a-name-that-is-longer-than-the-terminal-is-wide-0123456789"


def run(*arguments: str) -> Result:
    """Run ``kafka-bridge`` within this process."""
    return CliRunner().invoke(app, list(arguments), env=ENVIRONMENT)


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> JobBook:
    """Give the book that the commands under test show: one job of each state, all of today."""
    book = JobBook()
    now = utc_now()

    def add(number: int, state: JobState | None, **fields: Any) -> None:
        job = job_id(number)
        book.take_request(request(job, created_at=now), place(REQUESTS))
        if state is not None:
            told = event(state, 0, job, worker_id=LONG_WORKER, **fields)
            book.take_event(replace(told, occurred_at=now), place())

    add(0, None)
    add(1, JobState.RUNNING, progress=Progress(1, 4, "files"), message="[red]half[/red]")
    add(2, JobState.FAILED, error=JobFailure("disk_full", "No space left"))
    monkeypatch.setattr("kafka_bridge.cli.jobs.list.read_book", lambda *_: book)
    monkeypatch.setattr("kafka_bridge.cli.queues.read_book", lambda *_: book)
    monkeypatch.setattr("kafka_bridge.cli.workers.read_book", lambda *_: book)
    return book


def test_list_breaks_no_id_and_cuts_no_name(book: JobBook) -> None:
    """In a pipe each job is one line, however long its names are."""
    result = run("jobs", "list")
    assert result.exit_code == 0, result.output
    lines = plain(result.stdout).splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        [job_id(0), "QUEUED", "files.audit"],
        [job_id(1), "RUNNING", "files.audit"],
        [job_id(2), "FAILED", "files.audit"],
    ]
    assert f"nightly.audit  {LONG_WORKER}" in lines[2]
    assert lines[2].endswith("25 %: 1 of 4 files – [red]half[/red]")
    assert lines[3].endswith("disk_full: No space left")


def test_list_is_json_for_scripts(book: JobBook) -> None:
    """One object for each line, with all that is known."""
    result = run("jobs", "list", "--json", "--state", "running")
    (line,) = result.stdout.splitlines()
    facts = json.loads(line)
    assert facts["correlation_id"] == job_id(1)
    assert (facts["state"], facts["dag_id"], facts["worker_id"]) == (
        "RUNNING",
        "nightly",
        LONG_WORKER,
    )
    assert facts["progress"]["completed"] == 1
    assert facts["request"].startswith("jobs.requests[0]@")


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        (["--state", "QUEUED", "--state", "failed"], [0, 2]),
        (["--dag", "night*"], [0, 1, 2]),
        (["--type", "files"], []),
        (["--worker", "a-worker*"], [1, 2]),
        (["--text", "SPACE"], [2]),
        (["--run", "manual__2026-03-01", "--state", "running"], [1]),
        (["--limit", "1"], [2]),
    ],
)
def test_filters_choose_jobs(book: JobBook, filters: list[str], numbers: list[int]) -> None:
    """All filters together must fit; --limit shows those that changed last."""
    result = run("jobs", "list", "--json", *filters)
    ids = [json.loads(line)["correlation_id"] for line in result.stdout.splitlines()]
    assert ids == [job_id(number) for number in numbers]


def test_empty_list_says_what_to_do(book: JobBook) -> None:
    """On standard error: scripts get no line."""
    result = run("jobs", "list", "--type", "none")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "No job of jobs.requests since" in result.stderr
    assert "Use an earlier --since, or fewer filters" in result.stderr


def test_limit_says_that_there_are_more(book: JobBook) -> None:
    """A short list must not look like all there is."""
    assert "Only the last 1 of 3 jobs are shown" in run("jobs", "list", "--limit", "1").stderr


def test_unknown_state_names_the_states() -> None:
    """It is a usage error."""
    result = run("jobs", "list", "--state", "waiting")
    assert result.exit_code == 2
    assert "'queued', 'accepted'" in plain(result.output)


def test_queues_show_what_waits_and_runs(book: JobBook) -> None:
    """A row for each request topic that was named, or has jobs."""
    (line,) = run("queues", "list", "--json").stdout.splitlines()
    facts = json.loads(line)
    assert (facts["topic"], facts["queued"], facts["running"]) == (REQUESTS, 1, 1)
    assert facts["failed_per_minute"] > 0
    rows = plain(run("queues", "list", "other").stdout).splitlines()
    assert [row.split()[0] for row in rows[1:]] == [REQUESTS, "other"]


def test_workers_show_their_jobs(book: JobBook) -> None:
    """A row for each worker that has published an event."""
    rows = plain(run("workers", "list").stdout).splitlines()
    assert rows[1].split()[:3] == [LONG_WORKER, "alive", "1"]
    (line,) = run("workers", "list", "--json").stdout.splitlines()
    assert json.loads(line)["topics"] == [REQUESTS]


def test_what_was_not_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is not complete does not look complete. A control topic may be missing."""

    def read(*_: object) -> list[TopicProgress]:
        missing = TopicNotFound("topic 'x' does not exist")
        return [
            TopicProgress(RESPONSES, TopicKind.RESPONSES, failure=missing),
            TopicProgress("jobs.control", TopicKind.CONTROL, failure=missing),
            TopicProgress(REQUESTS, TopicKind.REQUESTS, unreadable=1234),
        ]

    monkeypatch.setattr(HistoryReading, "read", read)
    monkeypatch.setattr(monitored, "end_offsets", lambda *_: {})
    result = run("jobs", "list")
    assert "Topic jobs.responses is not read: topic 'x' does not exist" in result.stderr
    assert "1,234 records of topic jobs.requests were skipped" in result.stderr
    assert "jobs.control" not in result.stderr


@pytest.fixture
def timeline(monkeypatch: pytest.MonkeyPatch) -> JobTimeline:
    """Give the time line that ``jobs show`` finds."""
    asked = request(payload=b'{"path":"/data"}', payload_type="application/json")
    view = with_request(JobView(correlation_id=JOB), request_view(asked, place(REQUESTS, 17)))
    found = JobTimeline(view, asked, asked.payload, asked.payload_type)
    error = JobFailure("disk_full", "No space left", "Traceback:\n  line 1", retryable=True)
    for each in (
        event(JobState.ACCEPTED, 3),
        event(JobState.RUNNING, 4, progress=Progress(1, 4, "files"), message="half"),
        event(JobState.FAILED, 9, error=error, result=b"\xff\x00", result_type="image/png"),
        event(JobState.RUNNING, 12, message="a zombie"),
    ):
        changed = with_event(found.job, each, each.occurred_at, place())
        found.events.append(TimelineEvent(each, RecordLocation(RESPONSES, 0, 1), changed is None))
        found.job = changed or found.job
    monkeypatch.setattr(show, "read_job", lambda *_: found)
    monkeypatch.setattr(show, "require_topics", lambda *_: None)
    return found


def test_show_has_the_time_line(timeline: JobTimeline) -> None:
    """Request, events in order, the stale one marked, and the error with its details."""
    output = plain(run("jobs", "show", JOB).stdout)
    lines = output.splitlines()
    assert lines[0] == f"Job {JOB}: FAILED"
    assert "request     jobs.requests[0]@17, 2026-03-01 12:00:00Z" in lines
    assert "waited      3 s" in lines
    states = [line.split()[2] for line in lines if line.startswith("2026")]
    assert states == ["ACCEPTED", "RUNNING", "FAILED", "RUNNING"]
    assert "RUNNING (stale)" in output
    assert "Error: disk_full (a retry may help)\nNo space left\nTraceback:\n  line 1" in output
    assert "/data" not in output


def test_show_has_payload_and_result_on_request(timeline: JobTimeline) -> None:
    """Text as it is, other bytes in hex."""
    output = plain(run("jobs", "show", JOB, "--payload", "--result").stdout)
    assert 'Payload: 16 bytes, application/json\n  {"path":"/data"}' in output
    assert "Result: 2 bytes, image/png\n  000000  ff 00" in output


def test_show_is_json_for_scripts(timeline: JobTimeline) -> None:
    """JSON data are inlined, other data are base64."""
    (line,) = run("jobs", "show", JOB, "--json", "--payload", "--result").stdout.splitlines()
    facts = json.loads(line)
    assert facts["payload"] == {"path": "/data"}
    assert (facts["result_base64"], facts["result_type"]) == ("/wA=", "image/png")
    assert [each["is_stale"] for each in facts["events"]] == [False, False, False, True]
    assert facts["details"].startswith("Traceback")


def test_unknown_job_says_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to name other topics."""
    monkeypatch.setattr(show, "read_job", lambda *_: None)
    monkeypatch.setattr(show, "require_topics", lambda *_: None)
    result = run("jobs", "show", JOB, "--requests", "a", "--requests", "b")
    assert isinstance(result.exception, RecordGone)
    assert f"nothing is known of job {JOB}: topics a, b and jobs.responses" in str(result.exception)
