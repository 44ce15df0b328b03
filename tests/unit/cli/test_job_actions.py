"""``jobs watch | submit | cancel``, with a book and a producer in place of a broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kafka_bridge.cli.app import app
from kafka_bridge.cli.jobs import submit, watch
from kafka_bridge.cli.jobs.following import FollowedJobs
from kafka_bridge.kafka import producer as producer_module
from kafka_bridge.kafka.records import Record
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.protocol.codec import decode, detect, encode
from kafka_bridge.protocol.errors import ConfigurationError, RecordGone, RecordLocation
from kafka_bridge.protocol.messages import JobFailure, JobRequest, JobState, Progress, utc_now

from ..monitor.records import JOB, REQUESTS, RESPONSES, event, job_id, place, request
from .output import plain

ENVIRONMENT = {"COLUMNS": "200", "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "127.0.0.1:9"}


def run(*arguments: str, stdin: str | None = None) -> Result:
    """Run ``kafka-bridge jobs`` within this process."""
    return CliRunner().invoke(app, ["jobs", *arguments], input=stdin, env=ENVIRONMENT)


class Follower:
    """Stands in for the follower: each look at it takes the next record into the book."""

    def __init__(self, book: JobBook) -> None:
        self.book = book
        self.steps: list[Any] = []

    def wait_until_caught_up(self, _: float) -> bool:
        """Say that everything was read."""
        return True

    def statuses(self) -> list[Any]:
        """Say that all topics can be read."""
        return []

    def check(self) -> None:
        """Take the next record; without one, a person presses Ctrl-C."""
        if not self.steps:
            raise KeyboardInterrupt
        step = self.steps.pop(0)
        self.book.take_event(replace(step, occurred_at=utc_now()), place())


@pytest.fixture
def follower(monkeypatch: pytest.MonkeyPatch) -> Follower:
    """Give a follower with one job in its book, and a script of what comes."""
    follower = Follower(JobBook())
    follower.book.take_request(request(created_at=utc_now()), place(REQUESTS))

    @contextmanager
    def following(*_: object) -> Iterator[FollowedJobs]:
        yield FollowedJobs(follower.book, follower)  # type: ignore[arg-type]

    monkeypatch.setattr("kafka_bridge.cli.jobs.following.LOOK_SECONDS", 0)
    for module in (watch, submit):
        monkeypatch.setattr(module, "following", following)
    monkeypatch.setattr(watch, "require_topics", lambda *_: None)
    monkeypatch.setattr(submit, "end_offsets", lambda *_: {})
    return follower


@pytest.mark.parametrize(
    ("end", "code"), [(JobState.SUCCEEDED, 0), (JobState.FAILED, 1), (JobState.CANCELLED, 1)]
)
def test_watch_ends_with_its_job(follower: Follower, end: JobState, code: int) -> None:
    """In a pipe each change is a line. A heartbeat without news is none."""
    error = JobFailure("disk_full", "No space left") if end is JobState.FAILED else None
    follower.steps = [
        event(JobState.ACCEPTED),
        event(JobState.RUNNING, progress=Progress(1, 4, "files")),
        event(JobState.RUNNING),
        event(end, error=error),
    ]
    result = run("watch", JOB)
    assert result.exit_code == code
    lines = plain(result.stdout).splitlines()
    assert [line.split()[3] for line in lines] == ["QUEUED", "ACCEPTED", "RUNNING", end]
    assert lines[2].endswith("w-1  25 %: 1 of 4 files")
    assert error is None or lines[3].endswith("disk_full: No space left")


def test_watch_all_ends_with_ctrl_c(follower: Follower) -> None:
    """Jobs that have not ended are shown first; the filters hold for everything."""
    follower.steps = [event(JobState.RUNNING, job=job_id(1)), event(JobState.RUNNING)]
    result = run("watch", "--json", "--type", "files.*")
    assert result.exit_code == 0
    states = [json.loads(line)["state"] for line in result.stdout.splitlines()]
    assert states == ["QUEUED", "RUNNING"]


def test_interrupted_watch_of_a_job_has_its_own_exit_code(follower: Follower) -> None:
    """Scripts can tell it from a job that has failed."""
    assert run("watch", JOB).exit_code == 130


def test_watch_of_an_unknown_job_says_what_to_do(follower: Follower) -> None:
    """It does not wait for ever."""
    result = run("watch", job_id(9))
    assert isinstance(result.exception, RecordGone)
    assert "use an earlier --since" in str(result.exception)


class Sent:
    """What was published."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes]] = []

    def send(self, topic: str, key: bytes, value: bytes, _: object) -> Future[RecordLocation]:
        """Stand in for ``RecordProducer.send``."""
        self.records.append((topic, key, value))
        sent: Future[RecordLocation] = Future()
        sent.set_result(RecordLocation(topic, 0, len(self.records)))
        return sent

    @property
    def request(self) -> JobRequest:
        """The one request."""
        ((_, _, value),) = self.records
        return decode(JobRequest, value)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Give what the command under test publishes."""
    sent = Sent()
    kind = producer_module.RecordProducer
    monkeypatch.setattr(kind, "connect", lambda *_: None)
    monkeypatch.setattr(kind, "send", lambda _, *arguments: sent.send(*arguments))
    monkeypatch.setattr(submit, "new_correlation_id", lambda: JOB)
    return sent


@pytest.mark.parametrize("source", ["text", "file", "stdin"])
def test_submit_publishes_a_job_and_prints_its_id(
    follower: Follower, sent: Sent, tmp_path: Path, source: str
) -> None:
    """The payload is on the command line, in a file, or comes from standard input."""
    (tmp_path / "job.json").write_text('{"a": 1}')
    payload = {"text": '{"a": 1}', "file": f"@{tmp_path}/job.json", "stdin": "@-"}[source]
    result = run("submit", "files.audit", "--payload", payload, "--topic", "q", stdin='{"a": 1}')
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{JOB}\n"
    assert sent.records[0][:2] == ("q", JOB.encode())
    request = sent.request
    assert (request.job_type, request.payload, request.payload_type) == (
        "files.audit",
        b'{"a": 1}',
        "application/json",
    )
    assert request.response_topic == RESPONSES


@pytest.mark.parametrize("encoding", ["avro", "json"])
def test_submitted_job_has_its_limits_and_encoding(
    follower: Follower, sent: Sent, encoding: str
) -> None:
    """Limits are times, or durations from now on."""
    limits = ("--expires", "2h", "--deadline", "2999-01-01")
    result = run("submit", "files.audit", "--encoding", encoding, *limits)
    assert result.exit_code == 0, result.output
    job = sent.request
    assert job.expires_at is not None
    assert abs(job.expires_at - job.created_at - timedelta(hours=2)) < timedelta(seconds=30)
    assert job.deadline == datetime(2999, 1, 1, tzinfo=UTC)
    assert detect(sent.records[0][2]) == encoding


def test_submit_refuses_an_encoding_that_it_cannot_write(follower: Follower, sent: Sent) -> None:
    """The error says which ones it can."""
    result = run("submit", "files.audit", "--encoding", "registry")
    assert (result.exit_code, sent.records) == (2, [])
    assert "expected avro or json, not 'registry'" in plain(result.output)


@pytest.mark.parametrize(
    ("payload", "words"),
    [("{", "it is not JSON"), ("@/no/such/file", "'/no/such/file' cannot be read: No such file")],
)
def test_submit_refuses_a_wrong_payload(
    follower: Follower, sent: Sent, payload: str, words: str
) -> None:
    """Nothing is published."""
    result = run("submit", "files.audit", "--payload", payload)
    assert result.exit_code == 2
    assert words in plain(result.output)
    assert not sent.records


def test_submit_waits_for_the_result(
    follower: Follower, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress goes to standard error: standard output has the result and nothing else."""
    end = event(JobState.SUCCEEDED, result=b'{"made": 3}', result_type="application/json")
    follower.steps = [event(JobState.ACCEPTED), end]
    record = Record(place(), JOB.encode(), encode(end), [], 0)
    monkeypatch.setattr(submit, "read_record", lambda *_: record)
    result = run("submit", "files.audit", "--wait")
    assert result.exit_code == 0, result.output
    assert result.stdout == '{"made": 3}\n'
    assert "ACCEPTED" in result.stderr
    assert sent.request.payload is None


@pytest.mark.parametrize("cancels", [False, True])
def test_interrupted_wait_cancels_only_if_asked(
    follower: Follower, sent: Sent, monkeypatch: pytest.MonkeyPatch, cancels: bool
) -> None:
    """Ctrl-C ends the command; the job goes on, unless the option says otherwise."""
    cancelled: list[str] = []
    monkeypatch.setattr(submit, "cancel", lambda _, __, job, *___, **____: cancelled.append(job))
    result = run("submit", "a", "--wait", *(["--cancel-on-interrupt"] if cancels else []))
    assert result.exit_code == 130
    assert cancelled == ([JOB] if cancels else [])
    assert ("CANCEL sent" if cancels else f"jobs watch {JOB}") in result.stderr


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> JobBook:
    """Give the book of ``jobs cancel``: a job that runs and one that has ended."""
    book = JobBook()
    for number, state in enumerate((JobState.RUNNING, JobState.SUCCEEDED)):
        book.take_request(request(job_id(number), created_at=utc_now()), place(REQUESTS))
        told = event(state, job=job_id(number))
        book.take_event(replace(told, occurred_at=utc_now()), place())
    monkeypatch.setattr("kafka_bridge.cli.jobs.cancel.read_book", lambda *_: book)
    return book


def test_cancel_by_filter_asks_first(book: JobBook, sent: Sent) -> None:
    """Only jobs that have not ended are chosen. Without a yes, nothing is sent."""
    result = run("cancel", "--dag", "nightly", stdin="n\n")
    assert result.exit_code == 1
    assert "Cancel these jobs (1)?" in result.output
    assert job_id(0) in result.output
    assert job_id(1) not in result.output
    assert not sent.records
    assert run("cancel", "--dag", "nightly", "--yes").exit_code == 0
    assert [(topic, key) for topic, key, _ in sent.records] == [
        ("jobs.control", job_id(0).encode())
    ]


def test_dry_run_cancels_nothing(book: JobBook, sent: Sent) -> None:
    """It lists the jobs."""
    result = run("cancel", "--type", "files.*", "--dry-run", "--yes")
    assert result.exit_code == 0
    assert job_id(0) in result.stdout
    assert not sent.records


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either the ids of jobs, or filters"),
        ((JOB, "--dag", "nightly"), "give either the ids of jobs, or filters"),
        ((JOB, "--dry-run"), "--dry-run can be used with filters only"),
    ],
)
def test_cancel_never_guesses_which_jobs(arguments: tuple[str, ...], words: str) -> None:
    """No filter does not mean all jobs."""
    result = run("cancel", *arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert words in str(result.exception)
