"""What the board answers about queues, jobs and workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kafka_bridge.board.answers import DATA_BYTES, MOST_EVENTS, data_answer, timeline_answer
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.lookup import JobTimeline, TimelineEvent
from kafka_bridge.monitor.task_lookup import JobsOfTask
from kafka_bridge.protocol.errors import KafkaError
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress, Task
from unit.monitor.records import JOB, event, job_id, place, seconds

from .boards import Follower, OnlyDag, Source, client, get

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202eevil\x00"


@pytest.fixture
def source() -> Source:
    """Give jobs: one that waits, one that runs, one that has failed, one of another service."""
    found = Source()
    found.submit(1)
    running = found.submit(2, job_type="files.copy")
    found.report(running, JobState.RUNNING, 5, progress=Progress(1, 4, "files"))
    failed = found.submit(3, task=Task("production", "weekly", "run", "copy"))
    found.report(
        failed, JobState.FAILED, 9, error=JobFailure("disk_full", "No space"), worker_id="w-2"
    )
    found.submit(4, topic="other.requests", task=None)
    return found


async def test_jobs_come_with_the_latest_change_first(source: Source) -> None:
    """All of them, with how many there are."""
    found = await get(source, "/api/jobs")
    assert [each["state"] for each in found["jobs"]][:2] == ["FAILED", "RUNNING"]
    assert found["total"] == 4
    assert found["status"]["problems"] == []
    assert found["jobs"][1]["progress"] == {"completed": 1.0, "total": 4.0, "unit": "files"}
    assert found["jobs"][0]["error"]["message"] == "No space"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"state": ["QUEUED", "RUNNING"]}, {1, 2, 4}),
        ({"job_type": "files.c*"}, {2}),
        ({"dag_id": "weekly"}, {3}),
        ({"worker_id": "w-2"}, {3}),
        ({"topic": "other.requests"}, {4}),
        ({"text": "NO SPACE"}, {3}),
        ({"changed_since": "2026-03-01T12:00:05Z"}, {2, 3}),
        ({"text": ""}, {1, 2, 3, 4}),
        ({"dag_id": "nightly", "state": "RUNNING"}, {2}),
    ],
)
async def test_filters_choose_jobs(
    source: Source, query: dict[str, Any], numbers: set[int]
) -> None:
    """They are those of the command line."""
    found = await get(source, "/api/jobs", **query)
    assert {int(each["correlation_id"][-12:], 16) for each in found["jobs"]} == numbers
    assert found["total"] == len(numbers)


async def test_jobs_come_in_pages(source: Source) -> None:
    """No job is on two pages."""
    pages = [await get(source, "/api/jobs", offset=each, limit=2) for each in (0, 2, 4)]
    ids = [[job["correlation_id"] for job in page["jobs"]] for page in pages]
    assert [len(each) for each in ids] == [2, 2, 0]
    assert len({*ids[0], *ids[1]}) == 4


@pytest.mark.parametrize(
    "query", ["state=BUSY", "limit=0", "limit=10001", "offset=-1", "changed_since=2026-03-01T12:00"]
)
async def test_invalid_query_is_refused(source: Source, query: str) -> None:
    """The answer names what is wrong."""
    async with client(source) as board:
        response = await board.get(f"/api/jobs?{query}")
    assert response.status_code == 422
    assert query.partition("=")[0] in response.text


async def test_queues_and_workers_are_summarised(source: Source) -> None:
    """By request topic, and by worker."""
    queues = (await get(source, "/api/queues"))["queues"]
    assert [(each["topic"], each["queued"], each["held"]) for each in queues] == [
        ("jobs.requests", 1, 1),
        ("other.requests", 1, 0),
    ]
    workers = await get(source, "/api/workers")
    assert {each["worker_id"]: each["held"] for each in workers["workers"]} == {"w-1": 1, "w-2": 0}
    assert workers["total"] == 2


async def test_waiting_job_says_how_many_have_waited_longer(source: Source) -> None:
    """Of its request topic only. A job that a worker has does not wait."""
    first, second = (source.submit(each, created_at=seconds(each)) for each in (5, 6))
    running = job_id(2)
    for job in (first, second, running):
        known = source.book.job(job)
        assert known is not None
        source.timelines[job] = JobTimeline(known)
    found = [await get(source, f"/api/jobs/{each}") for each in (first, second, running)]
    assert [each["waiting_before"] for each in found] == [1, 2, None]


async def test_visitor_sees_only_what_the_access_policy_allows(source: Source) -> None:
    """In every answer: jobs, queues, workers, and a job that is asked for by its id."""

    def only_nightly(_: object) -> OnlyDag:
        return OnlyDag()

    jobs = await get(source, "/api/jobs", only_nightly)
    assert {each["task"]["dag_id"] for each in jobs["jobs"]} == {"nightly"}
    queues = (await get(source, "/api/queues", only_nightly))["queues"]
    assert [each["topic"] for each in queues] == ["jobs.requests"]
    workers = (await get(source, "/api/workers", only_nightly))["workers"]
    assert [each["worker_id"] for each in workers] == ["w-1"]
    hidden = next(each for each in source.book.jobs() if each.task and each.task.dag_id == "weekly")
    async with client(source, only_nightly) as board:
        response = await board.get(f"/api/jobs/{hidden.correlation_id}")
    assert response.status_code == 404
    assert source.looked_up == []


OF_TASK: dict[str, Any] = {
    "source": "production",
    "dag_id": "nightly",
    "run_id": "run+1",
    "task_id": "audit",
    "since": "2026-03-01T12:00:00Z",
}


async def test_jobs_of_an_old_task_are_looked_up_in_kafka(source: Source) -> None:
    """Those that the visitor may see, the latest first; with why topics could not be read."""
    jobs = {each.correlation_id: each for each in source.book.jobs()}
    source.of_task = JobsOfTask(jobs, {"gone": KafkaError("topic 'gone' does not exist")})
    async with client(source, lambda _: OnlyDag()) as board:
        response = await board.get("/api/task/jobs", params={**OF_TASK, "map_index": 3})
    found = response.raise_for_status().json()
    assert [each["state"] for each in found["jobs"]] == ["RUNNING", "QUEUED"]
    assert found["total"] == 2
    assert found["status"]["problems"] == ["topic 'gone' does not exist"]
    assert source.looked_up_tasks == [
        (Task("production", "nightly", "run+1", "audit", 3), seconds(0))
    ]


@pytest.mark.parametrize(
    "query",
    [{"since": "yesterday"}, {"since": "2026-03-01"}, {"map_index": 2**31}, {"task_id": "x" * 501}],
)
async def test_invalid_question_for_a_task_is_refused(
    source: Source, query: dict[str, Any]
) -> None:
    """Kafka is not asked."""
    async with client(source) as board:
        response = await board.get("/api/task/jobs", params={**OF_TASK, **query})
    assert response.status_code == 422
    assert source.looked_up_tasks == []


async def test_jobs_of_a_task_need_a_way_to_kafka(source: Source) -> None:
    """Without one, the answer says why."""
    source.refusal = KafkaError("there is no connection 'kafka_default'")
    async with client(source) as board:
        response = await board.get("/api/task/jobs", params=OF_TASK)
    assert response.status_code == 503
    assert "kafka_default" in response.json()["detail"]


def timeline(**fields: Any) -> JobTimeline:
    """Return what Kafka holds of a job with two events."""
    view = JobView(correlation_id=JOB)
    first, last = event(JobState.RUNNING), event(JobState.SUCCEEDED, 2, **fields)
    return JobTimeline(
        view,
        payload=b'{"path": 1}',
        payload_type="application/json",
        events=[TimelineEvent(each, place(), is_stale=False) for each in (first, last)],
    )


async def test_job_has_its_time_line_and_its_data_only_on_request() -> None:
    """Payload and result are not in the time line; their sizes are."""
    source = Source()
    source.timelines[JOB] = timeline(result=HOSTILE.encode(), result_type="text/html")
    found = await get(source, f"/api/jobs/{JOB}")
    assert [each["state"] for each in found["events"]] == ["RUNNING", "SUCCEEDED"]
    assert (found["payload_size"], found["events"][1]["result_size"]) == (11, len(HOSTILE.encode()))
    assert "path" not in str(found)
    assert "script" not in str(found)
    data = await get(source, f"/api/jobs/{JOB}/data")
    assert data["payload"] == {"media_type": "application/json", "size": 11, "text": '{"path": 1}'}
    assert data["result"]["text"] == "<script>alert(1)</script>\\x1b[31m\\u202eevil\\x00"


async def test_payload_is_refused_to_a_visitor_that_may_not_see_it() -> None:
    """The time line says so, too."""
    source = Source()
    job = source.submit()
    found = timeline()
    found.job = source.book.job(job) or found.job
    source.timelines[job] = found
    async with client(source, lambda _: OnlyDag()) as board:
        assert (await board.get(f"/api/jobs/{job}")).json()["may_see_payload"] is False
        response = await board.get(f"/api/jobs/{job}/data")
    assert response.status_code == 403


def test_data_that_is_long_or_binary_is_harmless() -> None:
    """Of a long text both ends are shown; bytes that are no text are only counted."""
    found = timeline(result=b"\xff\x00", result_type="image/png")
    found.payload = b"x" * (3 * DATA_BYTES)
    data = data_answer(found)
    assert data.payload is not None
    assert data.payload.text is not None
    assert len(data.payload.text) <= DATA_BYTES
    assert data.payload.size == 3 * DATA_BYTES
    assert data.result is not None
    assert (data.result.text, data.result.size) == (None, 2)


def test_of_very_many_events_the_first_and_the_last_are_shown() -> None:
    """The answer says how many are not."""
    found = timeline()
    found.events = [
        TimelineEvent(event(JobState.RUNNING, number), place(), is_stale=False)
        for number in range(MOST_EVENTS + 10)
    ]
    answer = timeline_answer(found, None, may_see_payload=True, may_cancel=True)
    assert (len(answer.events), answer.left_out) == (MOST_EVENTS, 10)
    assert answer.events[-1].occurred_at - answer.events[0].occurred_at == timedelta(
        seconds=MOST_EVENTS + 9
    )


@pytest.mark.parametrize("job", ["42", JOB.upper(), JOB])
async def test_unknown_job_is_not_found(job: str) -> None:
    """The answer says why that may be."""
    async with client(Source()) as board:
        response = await board.get(f"/api/jobs/{job}")
    assert response.status_code == 404
    assert "job" in response.json()["detail"]


async def test_kafka_that_is_away_is_a_field_of_the_answer() -> None:
    """What is known is still shown, and Kafka is not asked for more."""
    source = Source(follower=Follower("no broker answers at kafka:9092", is_live=False))
    job = source.submit()
    jobs = await get(source, "/api/jobs")
    assert jobs["status"]["problems"] == ["no broker answers at kafka:9092"]
    assert jobs["total"] == 1
    assert (await get(source, f"/api/jobs/{job}"))["job"]["state"] == "QUEUED"
    assert source.looked_up == []
    async with client(source) as board:
        response = await board.get(f"/api/jobs/{JOB[:-1]}f")
    assert response.status_code == 503
    assert "no broker answers at kafka:9092" in response.json()["detail"]


async def test_first_reading_is_a_field_of_the_answer() -> None:
    """A page without jobs says whether there are none, or none yet."""
    source = Source(follower=Follower(has_caught_up=False, is_live=False))
    status = (await get(source, "/api/jobs"))["status"]
    assert (status["is_reading"], status["problems"]) == (True, [])


async def test_cancel_that_kafka_refuses_says_why() -> None:
    """It is not an internal error."""
    source = Source(refusal=KafkaError("no broker answers"))
    job = source.submit()
    async with client(source) as board:
        response = await board.post(
            f"/api/jobs/{job}/cancel", json={}, headers={"X-Kafka-Bridge": "1"}
        )
    assert (response.status_code, response.json()["detail"]) == (
        503,
        "The command was not sent: no broker answers",
    )
