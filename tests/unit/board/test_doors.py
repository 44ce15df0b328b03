"""Visitors that may come in, and what a page of another site cannot do."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection

from kafka_bridge.board import action_routes
from kafka_bridge.board.access import COOKIE, TokenAccess, is_loopback
from kafka_bridge.board.app import create_board
from kafka_bridge.board.guard import CSP
from kafka_bridge.protocol.messages import JobState

from .boards import FROM_PAGE, OnlyDag, Source, client

TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_routes, "WRONG_TOKEN_SECONDS", 0.0)


@pytest.mark.parametrize("path", ["queues", "jobs", "workers", "events", "jobs/42", "jobs/42/data"])
async def test_without_the_token_nothing_is_answered(path: str) -> None:
    """Every route asks for it."""
    async with client(Source(), TokenAccess(TOKEN)) as board:
        response = await board.get(f"/api/{path}")
        wrong = await board.get(f"/api/{path}", headers={"Authorization": f"Bearer {TOKEN}x"})
    assert (response.status_code, wrong.status_code) == (401, 401)
    assert response.headers["www-authenticate"] == "Bearer"


async def test_page_itself_can_be_loaded_to_log_in() -> None:
    """It has nothing of the jobs."""
    async with client(Source(), TokenAccess(TOKEN)) as board:
        assert (await board.get("/")).status_code == 200
        assert (await board.get("/static/board.css")).status_code == 200


async def test_program_sends_the_token_as_a_header() -> None:
    """As OAuth does (RFC 6750)."""
    async with client(Source(), TokenAccess(TOKEN)) as board:
        response = await board.get("/api/jobs", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200


@pytest.mark.parametrize("prefix", ["", "/jobs-of-team"])
async def test_login_sets_a_cookie_that_no_script_reads(prefix: str) -> None:
    """It has not the token itself, and other sites cannot make the browser send it."""
    async with client(Source(), TokenAccess(TOKEN), prefix) as board:
        response = await board.post("/api/login", json={"token": TOKEN}, headers=FROM_PAGE)
        cookie = response.headers["set-cookie"]
        assert response.status_code == 204
        assert (await board.get("/api/jobs")).status_code == 200
        board.cookies.clear()
        board.cookies.set(COOKIE, TOKEN)
        assert (await board.get("/api/jobs")).status_code == 401
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=strict", f"Path={prefix}/"} <= set(cookie.split("; "))


@pytest.mark.parametrize("token", ["", "wrong", f"{TOKEN}\ud800"])
async def test_login_with_a_wrong_token_is_refused(token: str) -> None:
    """And sets no cookie."""
    async with client(Source(), TokenAccess(TOKEN)) as board:
        content = json.dumps({"token": token})
        headers = {**FROM_PAGE, "Content-Type": "application/json"}
        response = await board.post("/api/login", content=content, headers=headers)
    assert response.status_code in {401, 422}
    assert "set-cookie" not in response.headers


async def test_board_without_a_token_has_no_login() -> None:
    """There is nothing to guess."""
    async with client(Source()) as board:
        response = await board.post("/api/login", json={"token": TOKEN}, headers=FROM_PAGE)
    assert response.status_code == 404


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/jobs", "/api/nothing"])
async def test_every_answer_has_the_headers_of_a_careful_page(path: str) -> None:
    """No code but the board's own files runs in the page, and no other site shows it in a frame."""
    async with client(Source()) as board:
        headers = (await board.get(path)).headers
    assert headers["content-security-policy"] == CSP
    assert "unsafe" not in CSP
    assert CSP.startswith("default-src 'none';")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-store" if "api" in path else "no-cache")


async def test_failure_of_the_board_has_these_headers_too() -> None:
    """And says nothing of its cause, which the server logs."""
    source = Source()

    def fail(_: object) -> None:
        raise RuntimeError("secret")

    board = create_board(source, fail)
    transport = httpx.ASGITransport(board, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://board") as visitor:
        response = await visitor.get("/api/jobs")
    assert (response.status_code, "secret" in response.text) == (500, False)
    assert response.headers["content-security-policy"] == CSP


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8088", 200),
        ("localhost:8088", 200),
        ("[::1]:8088", 200),
        ("LOCALHOST", 200),
        ("evil.example:8088", 400),
        ("127.0.0.1.evil.example", 400),
        ("[", 400),
        ("", 400),
    ],
)
async def test_name_of_another_site_that_leads_here_is_refused(host: str, status: int) -> None:
    """DNS rebinding: the page of another site must not read the answers."""
    hosts = {"127.0.0.1", "localhost", "[::1]"}
    async with client(Source(), hosts=hosts) as board:
        response = await board.get("/api/jobs", headers={"Host": host})
    assert response.status_code == status


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, {"json": {"reason": "enough"}}, 202),
        ({"X-Kafka-Bridge": "1"}, {"json": {"reason": "enough"}}, 202),
        ({}, {"json": {}}, 403),
        ({"Sec-Fetch-Site": "cross-site", "X-Kafka-Bridge": "1"}, {"json": {}}, 403),
        ({"Sec-Fetch-Site": "same-site"}, {"json": {}}, 403),
        ({"Sec-Fetch-Site": "none"}, {"json": {}}, 403),
        (FROM_PAGE, {"data": {"reason": "form"}}, 415),
        (FROM_PAGE, {"content": "{}", "headers": {"Content-Type": "text/plain"}}, 415),
        (FROM_PAGE, {"json": {"reason": "x" * 501}}, 422),
        (FROM_PAGE, {"json": {"why": "x"}}, 422),
    ],
)
async def test_only_the_board_itself_and_programs_cancel(
    headers: dict[str, str], body: dict[str, Any], status: int
) -> None:
    """A page of another site, or a form, does not."""
    source = Source()
    job = source.submit()
    body = {**body, "headers": {**headers, **body.get("headers", {})}}
    async with client(source) as board:
        response = await board.post(f"/api/jobs/{job}/cancel", **body)
    assert response.status_code == status
    assert source.cancelled == ([(job, "enough")] if status == 202 else [])


async def test_cancel_is_checked_by_the_access_policy() -> None:
    """A visitor that may see a job need not be allowed to cancel it."""
    source = Source()
    job = source.submit()
    async with client(source, lambda _: OnlyDag()) as board:
        response = await board.post(f"/api/jobs/{job}/cancel", json={}, headers=FROM_PAGE)
    assert (response.status_code, source.cancelled) == (403, [])


async def test_job_that_has_ended_or_is_unknown_is_not_cancelled() -> None:
    """The answer says which."""
    source = Source()
    job = source.submit()
    source.report(job, JobState.SUCCEEDED)
    async with client(source) as board:
        ended = await board.post(f"/api/jobs/{job}/cancel", json={}, headers=FROM_PAGE)
        unknown = await board.post("/api/jobs/42/cancel", json={}, headers=FROM_PAGE)
    assert (ended.status_code, unknown.status_code, source.cancelled) == (409, 404, [])


async def test_reason_is_made_harmless_for_logs() -> None:
    """It reaches the log of a worker, and Airflow's."""
    source = Source()
    job = source.submit()
    async with client(source) as board:
        await board.post(f"/api/jobs/{job}/cancel", json={"reason": "a\nb"}, headers=FROM_PAGE)
        await board.post(f"/api/jobs/{job}/cancel", json={}, headers=FROM_PAGE)
    assert source.cancelled == [(job, "a\\nb"), (job, "cancelled on the board")]


async def test_page_under_a_prefix_is_found_with_and_without_a_slash() -> None:
    """Its relative addresses need the slash."""
    async with client(Source(), prefix="/team/jobs") as board:
        bare = await board.get("http://127.0.0.1:8088/team/jobs")
        assert bare.status_code == 307
        assert str(bare.next_request.url if bare.next_request else "").endswith("/team/jobs/")
        assert (await board.get("/")).status_code == 200
        assert (await board.get("/static/main.js")).status_code == 200
        assert (await board.get("/api/jobs")).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("192.0.2.1", False), ("", False)],
)
def test_loopback_is_recognised(host: str, expected: bool) -> None:
    """All other addresses, and names, can be reached from outside."""
    assert is_loopback(host) is expected


def test_token_access_needs_a_token() -> None:
    """Neither an empty cookie nor another scheme is one."""
    scope = {"type": "http", "headers": [(b"authorization", b"Basic abc"), (b"cookie", b"a=")]}
    assert TokenAccess(TOKEN)(HTTPConnection(scope)) is None
