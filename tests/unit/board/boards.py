"""A board on jobs that are written by the test, and what asks it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from kafka_bridge.board.access import AccessOf, full_access
from kafka_bridge.board.app import create_board
from kafka_bridge.board.guard import CUSTOM_HEADER
from kafka_bridge.board.source import FollowedJobs
from kafka_bridge.kafka.admin.dead_letter_topic import DeadLetter
from kafka_bridge.kafka.records import Record
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.dead_letters import NewestLetters, Replayed, letter_view
from kafka_bridge.monitor.follower import TopicStatus
from kafka_bridge.monitor.intake import TopicKind
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.lookup import JobTimeline
from kafka_bridge.monitor.task_lookup import JobsOfTask
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import KafkaBridgeError, KafkaError, RecordGone, RecordLocation
from kafka_bridge.protocol.headers import Headers, dead_letter_headers
from kafka_bridge.protocol.messages import JobState, Task
from kafka_bridge.protocol.topics import DEAD_LETTER_TOPIC
from unit.monitor.records import REQUESTS, event, job_id, place, request, seconds

FROM_PAGE = {"Sec-Fetch-Site": "same-origin", CUSTOM_HEADER: "1"}


@dataclass
class Follower:
    """A follower that has read everything, or says why not."""

    failure: str | None = None
    is_live: bool = True
    has_caught_up: bool = True
    is_closed: bool = False

    def wait_until_caught_up(self, timeout: float) -> bool:  # noqa: ARG002
        return self.has_caught_up

    def statuses(self) -> list[TopicStatus]:
        return [TopicStatus(REQUESTS, TopicKind.REQUESTS, self.is_live, self.failure, 0, 0, 0)]

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Letters:
    """Dead letters that a test writes; what is replayed."""

    letters: dict[RecordLocation, DeadLetter] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    refusal: KafkaBridgeError | None = None
    replayed: list[tuple[RecordLocation, bool]] = field(default_factory=list)

    def newest(self) -> NewestLetters:
        return NewestLetters([*map(letter_view, self.letters.values())], self.failures)

    def letter(self, place: RecordLocation) -> DeadLetter | None:
        if place.topic != DEAD_LETTER_TOPIC:
            return None
        if place not in self.letters:
            raise RecordGone("gone")
        return self.letters[place]

    def replay(self, letter: DeadLetter, *, as_new: bool) -> Replayed:
        if self.refusal is not None:
            raise self.refusal
        self.replayed.append((letter.record.location, as_new))
        return Replayed(RecordLocation(REQUESTS, 0, 9), job_id(99) if as_new else None)

    def set_aside(self, number: int = 1, **fields: Any) -> str:
        """Write a dead letter of a job; return its path."""
        value = encode(request(job_id(number), **fields))
        return self.write(job_id(number).encode(), value, [("traceparent", b"00-aa")])

    def write(
        self, key: bytes | None, value: bytes | None, headers: Headers, error: str = "no disk"
    ) -> str:
        """Write any record as a dead letter; return its path."""
        place = RecordLocation(DEAD_LETTER_TOPIC, 0, len(self.letters))
        added = dead_letter_headers(RecordLocation(REQUESTS, 1, 41), 0, RuntimeError(error))
        record = Record(place, key, value, [*headers, *added], int(seconds(5).timestamp() * 1000))
        self.letters[place] = DeadLetter.of(record)
        return f"/api/dead-letters/{place.topic}/{place.partition}/{place.offset}"


@dataclass
class Source:
    """Jobs that a test writes; what it is asked."""

    book: JobBook = field(default_factory=lambda: JobBook(now=lambda: seconds(3_600)))
    follower: Follower = field(default_factory=Follower)
    timelines: dict[str, JobTimeline] = field(default_factory=dict)
    cancelled: list[tuple[str, str]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    of_task: JobsOfTask = field(default_factory=JobsOfTask)
    looked_up_tasks: list[tuple[Task, datetime]] = field(default_factory=list)
    letters: Letters = field(default_factory=Letters)
    refusal: KafkaError | None = None
    visitors: int = 0

    def __post_init__(self) -> None:
        self.jobs = FollowedJobs(self.book, self.follower)

    @contextlib.contextmanager
    def visit(self) -> Iterator[FollowedJobs]:
        self.visitors += 1
        try:
            yield self.jobs
        finally:
            self.visitors -= 1

    def timeline(self, job: str, since: datetime | None) -> JobTimeline | None:  # noqa: ARG002
        self.looked_up.append(job)
        return self.timelines.get(job)

    def jobs_of_task(self, task: Task, since: datetime) -> JobsOfTask:
        self.looked_up_tasks.append((task, since))
        if self.refusal is not None:
            raise self.refusal
        return self.of_task

    def cancel(self, job: str, reason: str) -> RecordLocation:
        if self.refusal is not None:
            raise self.refusal
        self.cancelled.append((job, reason))
        return RecordLocation("jobs.control", 0, 7)

    def close(self) -> None:
        self.follower.close()

    def submit(self, number: int = 1, topic: str = REQUESTS, **fields: Any) -> str:
        """Write a request; return its job."""
        job = job_id(number)
        self.book.take_request(request(job, **fields), place(topic))
        return job

    def report(self, job: str, state: JobState, at: float = 1, **fields: Any) -> None:
        """Write an event of a job."""
        self.book.take_event(event(state, at, job, **fields), place())


@dataclass(frozen=True)
class OnlyDag:
    """A visitor that sees the jobs of one DAG, and not their payloads; changes nothing."""

    dag: str = "nightly"

    def may_see(self, job: JobView) -> bool:
        return job.task is not None and job.task.dag_id == self.dag

    def may_see_payload(self, job: JobView) -> bool:  # noqa: ARG002
        return False

    def may_cancel(self, job: JobView) -> bool:  # noqa: ARG002
        return False

    def may_replay(self, job: JobView) -> bool:  # noqa: ARG002
        return False


def client(
    source: Source, access_of: AccessOf = full_access, prefix: str = "", **options: Any
) -> httpx.AsyncClient:
    """Return a client of a board, without a network."""
    board = create_board(source, access_of, prefix, **options)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(board), base_url=f"http://127.0.0.1:8088{prefix}"
    )


async def get(source: Source, path: str, access_of: AccessOf = full_access, **query: Any) -> Any:
    """Return the JSON that a path answers."""
    async with client(source, access_of) as board:
        response = await board.get(path, params=query)
        response.raise_for_status()
        return response.json()
