"""What a user of Airflow may see and do on the board."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection

from kafka_bridge.airflow.board import rights
from kafka_bridge.airflow.board.rights import DECISION_SECONDS, UserAccess
from kafka_bridge.board.page import AirflowPages
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.lookup import JobTimeline
from kafka_bridge.protocol.messages import Task
from unit.board.boards import FROM_PAGE, Source, client
from unit.monitor.records import TASK

from .stand_ins import HERE, AuthManager, Person, login_with

SEE = ("GET", "TASK_INSTANCE", "nightly")
SEE_DATA = ("GET", "XCOM", "nightly")
CHANGE = ("PUT", "TASK_INSTANCE", "nightly")
SEE_CONNECTION = ("GET", "connection", "kafka_board")
CHANGE_CONNECTION = ("PUT", "connection", "kafka_board")
PAGES = AirflowPages("/team/", "production")
FOREIGN = Task("staging", "nightly", TASK.run_id, TASK.task_id)


class BoardInAirflow:
    """A board with one job, and a person that asks it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *grants: tuple[str, str, str]) -> None:
        self.manager = AuthManager(set(grants))
        self.source = Source()
        self.login = login_with(self.manager, monkeypatch)

    def client(self, user: str | None = "ann") -> httpx.AsyncClient:
        """Return what asks with the cookie of Airflow."""
        board = client(self.source, self.login, airflow=PAGES)
        if user is not None:
            board.cookies.set("_token", user)
        return board

    def submit(self, task: Task | None = TASK) -> str:
        """Write a request; return its job, which Kafka has, too."""
        job = self.source.submit(task=task)
        view = self.source.book.job(job)
        assert view is not None
        self.source.timelines[job] = JobTimeline(view, payload=b"secret")
        return job

    async def answers(self, job: str) -> dict[str, Any]:
        """Return what ann gets: the number of jobs, and the status of what is about one."""
        async with self.client() as board:
            found = {
                "jobs": (await board.get("/api/jobs")).json()["total"],
                "queues": len((await board.get("/api/queues")).json()["queues"]),
                "job": (await board.get(f"/api/jobs/{job}")).status_code,
                "data": (await board.get(f"/api/jobs/{job}/data")).status_code,
            }
            sent = await board.post(f"/api/jobs/{job}/cancel", json={}, headers=FROM_PAGE)
            return found | {"cancel": sent.status_code}


NOTHING = {"jobs": 0, "queues": 0, "job": 404, "data": 404, "cancel": 404}
SEES = {"jobs": 1, "queues": 1, "job": 200, "data": 403, "cancel": 403}


@pytest.mark.parametrize(
    ("grants", "expected"),
    [
        ([], NOTHING),
        ([SEE], SEES),
        ([SEE, SEE_DATA], {**SEES, "data": 200}),
        ([SEE, CHANGE], {**SEES, "cancel": 202}),
        ([SEE_DATA, CHANGE, SEE_CONNECTION, CHANGE_CONNECTION], NOTHING),
        ([("GET", "TASK_INSTANCE", "hourly")], NOTHING),
    ],
)
async def test_job_of_a_dag_is_like_an_instance_of_its_task(
    monkeypatch: pytest.MonkeyPatch, grants: list[tuple[str, str, str]], expected: dict[str, int]
) -> None:
    """Its payload and its result are like XComs. Other rights do not help."""
    board = BoardInAirflow(monkeypatch, *grants)
    job = board.submit()
    assert await board.answers(job) == expected
    assert bool(board.source.cancelled) is (expected["cancel"] == 202)


@pytest.mark.parametrize("task", [None, FOREIGN])
@pytest.mark.parametrize(
    ("grants", "expected"),
    [
        ([SEE, SEE_DATA, CHANGE], NOTHING),
        ([SEE_CONNECTION], {**SEES, "data": 200}),
        ([SEE_CONNECTION, CHANGE_CONNECTION], {**SEES, "data": 200, "cancel": 202}),
    ],
)
async def test_other_jobs_are_like_the_connection_to_kafka(
    monkeypatch: pytest.MonkeyPatch,
    task: Task | None,
    grants: list[tuple[str, str, str]],
    expected: dict[str, int],
) -> None:
    """Those of other programs, and of another Airflow, whose DAG only has the same name."""
    board = BoardInAirflow(monkeypatch, *grants)
    assert await board.answers(board.submit(task)) == expected


@pytest.mark.parametrize(("grants", "may"), [([SEE], False), ([SEE, SEE_DATA, CHANGE], True)])
async def test_page_is_told_which_buttons_it_has(
    monkeypatch: pytest.MonkeyPatch, grants: list[tuple[str, str, str]], may: bool
) -> None:
    """A button that would be refused is not drawn."""
    board = BoardInAirflow(monkeypatch, *grants)
    job = board.submit()
    async with board.client() as asking:
        found = (await asking.get(f"/api/jobs/{job}")).json()
    assert (found["may_cancel"], found["may_see_payload"]) == (may, may)


@pytest.mark.parametrize("token", [None, "expired", "forged"])
@pytest.mark.parametrize("path", ["queues", "jobs", "workers", "events", "jobs/42", "jobs/42/data"])
async def test_without_a_login_nothing_is_answered(
    monkeypatch: pytest.MonkeyPatch, path: str, token: str | None
) -> None:
    """A token that has expired, or that Airflow has not made, is none."""
    board = BoardInAirflow(monkeypatch, SEE)
    async with board.client(token) as asking:
        assert (await asking.get(f"/api/{path}")).status_code == 401
    assert board.manager.asked == []


async def test_without_a_login_nothing_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with a header of the board's page."""
    board = BoardInAirflow(monkeypatch, SEE, CHANGE)
    job = board.submit()
    async with board.client(None) as asking:
        response = await asking.post(f"/api/jobs/{job}/cancel", json={}, headers=FROM_PAGE)
    assert (response.status_code, board.source.cancelled) == (401, [])


async def test_page_leads_to_the_login_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its whole address; a user that is logged in gets the page."""
    board = BoardInAirflow(monkeypatch)
    async with board.client(None) as asking:
        response = await asking.get("/?job=42&view=x")
    assert response.status_code == 303
    assert response.headers["location"] == (
        "/team/api/v2/auth/login?next=%2F%3Fjob%3D42%26view%3Dx"
    )
    async with board.client() as asking:
        page = await asking.get("/")
    assert page.status_code == 200
    assert (
        '<html lang="en" data-airflow-root="/team/" data-airflow-source="production">' in page.text
    )


async def test_program_sends_airflows_token_as_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for Airflow's own API."""
    board = BoardInAirflow(monkeypatch)
    async with board.client(None) as asking:
        response = await asking.get("/api/jobs", headers={"Authorization": "Bearer ann"})
    assert response.status_code == 200


async def test_ended_login_ends_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board asks for the login again, even if something in Airflow has noted the user."""
    board = BoardInAirflow(monkeypatch)
    scope = {"type": "http", "headers": [(b"cookie", b"_token=ann")], "state": {}}
    first = await board.login(HTTPConnection(scope))
    assert first is not None
    assert await board.login(HTTPConnection(scope)) is first
    board.manager.tokens.clear()
    assert await board.login(HTTPConnection(scope)) is None


def test_decisions_are_used_for_a_while() -> None:
    """The auth manager may ask another server, and a page has thousands of jobs."""
    manager, now = AuthManager({SEE}), [0.0]
    access = UserAccess(Person("ann"), manager, HERE, lambda: now[0])
    source = Source()
    job = source.book.job(source.submit())
    assert job is not None
    assert [access.may_see(job), access.may_see(job)] == [True, True]
    assert manager.asked == [SEE]
    manager.grants.clear()
    now[0] += DECISION_SECONDS
    assert not access.may_see(job)


def test_decisions_about_invented_dags_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anybody who may publish can name DAGs."""
    monkeypatch.setattr(rights, "MOST_DECISIONS", 3)
    access = UserAccess(Person("ann"), AuthManager(), HERE)
    for number in range(10):
        source = Source()
        task = Task(HERE.source, f"dag-{number}", "r", "t")
        job = source.book.job(source.submit(task=task))
        assert job is not None
        access.may_see(job)
    assert len(access._decisions) <= 3


def test_job_without_a_request_is_not_of_a_dag() -> None:
    """Its request is too old, or cannot be read."""
    manager = AuthManager({SEE})
    assert not UserAccess(Person("ann"), manager, HERE).may_see(JobView(correlation_id="42"))
    assert manager.asked == [SEE_CONNECTION]
