"""Requests to a service: bodies, paths, secrets, limits; and answers that are results."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from kafka_bridge.gateway.http import request_errors
from kafka_bridge.gateway.http.client import Call, ServiceClient
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.gateway.http.requests import submit_call
from kafka_bridge.gateway.http.service_config import HttpService
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker import ApplicationError
from unit.gateway.http.conftest import SOON, Do
from unit.gateway.http.scripted import Reply, ScriptedService
from unit.gateway.started_job import JOB

SUBMIT, STATUS = f"POST /jobs/{JOB}", f"GET /jobs/{JOB}"
DONE = Reply({"status": "completed"})
AT_ONCE: dict[str, Any] = {"mode": "synchronous", "polling": None}


def test_answer_is_the_result(service: ScriptedService, do: Do) -> None:
    """In synchronous mode: the whole answer, or the configured part of it."""
    service.on(SUBMIT, Reply({"sum": 5}))
    assert do(AT_ONCE).result == {"sum": 5}
    assert do(AT_ONCE | {"answer": {"result": "sum"}}).result == 5
    text = Reply("5 Dateien für Ä".encode(), headers={"content-type": "text/plain; charset=utf-8"})
    service.on(SUBMIT, text)
    assert do(AT_ONCE).result == "5 Dateien für Ä"
    service.on(SUBMIT, Reply(b"\x00\xff", headers={"content-type": "image/png"}))
    assert do(AT_ONCE).events[-1].result == b"\x00\xff"


def test_synchronous_submit_has_its_own_timeout(service: ScriptedService, do: Do) -> None:
    """It may take longer than the service's other answers, up to its own limit."""
    limits = {"timeout": 10, "retries": {"limit": 0}}
    service.on(SUBMIT, Reply("late", takes=20))
    assert do(AT_ONCE, service_config=limits).result == "late"
    service.on(SUBMIT, Reply(is_silent=True))
    failed = do(AT_ONCE | {"submit": {"timeout": 15}}, service_config=limits).error
    assert failed is not None
    assert failed.message == f"POST {service.url}/jobs/{JOB}: no answer within 15 s"


def test_failure_of_a_synchronous_submit(service: ScriptedService, do: Do) -> None:
    """A temporary one is retried with the same key; another one has the error of the service."""
    service.on(SUBMIT, Reply(status=503), Reply({"sum": 1}))
    assert do(AT_ONCE).result == {"sum": 1}
    service.on(SUBMIT, Reply({"error": "no such file"}, status=400))
    failed = do(AT_ONCE).error
    assert failed is not None
    assert failed.message.endswith('400 Bad Request: {"error": "no such file"}')
    service.on(SUBMIT, Reply(b"{", headers={"content-type": "application/json"}))
    failed = do(AT_ONCE).error
    assert failed is not None
    assert failed.message.endswith(": '{'")
    assert "200, but its body is not JSON (Expecting property name" in failed.message


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ("a/b", "/files/a%2Fb"),
        ("../../admin", "/files/..%2F..%2Fadmin"),
        ("ä ?&#", "/files/%C3%A4%20%3F%26%23"),
        ("http://127.0.0.1:9/", "/files/http%3A%2F%2F127.0.0.1%3A9%2F"),
        (7, "/files/7"),
    ],
)
def test_value_in_a_path_is_quoted(
    service: ScriptedService, do: Do, payload: object, path: str
) -> None:
    """A payload cannot change the target of the request."""
    service.on(f"POST {path}", Reply("found"))
    job = AT_ONCE | {"submit": {"path": "/files/{payload.name}"}}
    assert do(job, payload={"name": payload}).result == "found"


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({}, "{payload.name} is null or missing"),
        ({"name": ".."}, "'..' cannot be part of a URL's path"),
        ({"name": ""}, "'' cannot be part of a URL's path"),
    ],
)
def test_payload_that_cannot_become_a_request_fails_the_job(
    service: ScriptedService, do: Do, payload: object, words: str
) -> None:
    """Nothing is sent, and a retry cannot help."""
    failed = do(AT_ONCE | {"submit": {"path": "/files/{payload.name}"}}, payload=payload).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("invalid_payload", False)
    assert failed.message == f"the request cannot be built from the payload: {words}"
    assert not service.requests


def test_lone_surrogate_in_a_payload_is_not_sent() -> None:
    """JSON of another publisher may contain one; a retry cannot help."""
    job = HttpJob.model_validate({"service": "it", "submit": {"path": "/jobs/{payload.name}"}})
    with pytest.raises(ApplicationError) as failure:
        submit_call(job, {"job_id": JOB, "payload": {"name": "a\ud83d"}}, Mask())
    assert (failure.value.type, failure.value.retryable) == ("invalid_payload", False)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "日本", "Ä"])
def test_invalid_header_value_fails_the_job(service: ScriptedService, do: Do, value: str) -> None:
    """A line break in a payload does not add a header."""
    job = AT_ONCE | {"submit": {"headers": {"X-Name": "{payload}"}}}
    failed = do(job, payload=value).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("invalid_payload", False)
    assert failed.message.startswith(
        "the payload results in a request that cannot be sent: the header X-Name would contain "
    )
    assert not service.requests


def test_secrets_are_sent_and_masked_in_errors(
    service: ScriptedService, do: Do, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The service may repeat them in its error. A file is read again, because it may be renewed."""
    monkeypatch.setenv("AUDIT_KEY", "key-4711")
    token = tmp_path / "token"
    token.write_text("token-1\n")
    says = {
        "auth": {"bearer": {"file": str(token)}},
        "headers": {"X-Key": {"env": "AUDIT_KEY"}, "X-Team": "blue"},
    }
    service.on(SUBMIT, Reply({"detail": "token-1 and key-4711 are not known"}, status=401))
    failed = do(AT_ONCE, service_config=says).error
    assert failed is not None
    assert '{"detail": "*** and *** are not known"}' in failed.message
    assert "token-1" not in repr(failed)
    assert "key-4711" not in repr(failed)
    sent = service.requests[0].headers
    assert (sent["Authorization"], sent["X-Key"], sent["X-Team"]) == (
        "Bearer token-1",
        "key-4711",
        "blue",
    )
    token.write_text("token-2\n")
    do(AT_ONCE, service_config=says)
    assert service.requests[1].headers["Authorization"] == "Bearer token-2"


def test_basic_authentication(
    service: ScriptedService, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in RFC 7617, with any password."""
    monkeypatch.setenv("PASSWORD", "süß:1")
    service.on(SUBMIT, Reply(1))
    do(
        AT_ONCE,
        service_config={"auth": {"basic": {"username": "u", "password": {"env": "PASSWORD"}}}},
    )
    scheme, _, pair = service.requests[0].headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", "u:süß:1")


def test_url_in_an_error_has_no_parameters(service: ScriptedService, do: Do) -> None:
    """They may contain a key."""
    service.on(f"{SUBMIT}?key=4711", Reply("no", status=400))
    failed = do(AT_ONCE | {"submit": {"path": "/jobs/{job_id}?key=4711"}}).error
    assert failed is not None
    assert failed.message.startswith(f"POST {service.url}/jobs/{JOB}?…: 400")


def test_redirect_is_not_followed(service: ScriptedService, do: Do) -> None:
    """It would send the token elsewhere; the error has the new location."""
    service.on(SUBMIT, Reply(status=302, headers={"Location": "http://127.0.0.1:9/x"}))
    failed = do(AT_ONCE).error
    assert failed is not None
    assert failed.message.endswith("302 Found to http://127.0.0.1:9/x: correct the URL in the file")
    assert not failed.retryable


def test_answer_that_is_too_large_fails_the_job(service: ScriptedService, do: Do) -> None:
    """It is not read to its end."""
    service.on(SUBMIT, Reply("x" * 100_000))
    small = {"max_answer_bytes": 50_000, "retries": {"limit": 0}}
    failed = do(AT_ONCE, service_config=small).error
    assert failed is not None
    assert failed.message.endswith(
        "200, but its body is larger than 50000 bytes (max_answer_bytes)"
    )
    assert not failed.retryable


def test_request_with_too_large_an_answer_is_not_retried(service: ScriptedService, do: Do) -> None:
    """The service has done its work. After a large error page, the request is retried."""
    large = Reply(b"x" * 60_000)
    service.on(SUBMIT, large)
    assert do(AT_ONCE, service_config={"max_answer_bytes": 50_000}).state is JobState.FAILED
    assert len(service.requests_for(SUBMIT)) == 1
    service.on(SUBMIT, Reply(b"x" * 60_000, status=503), Reply({"sum": 1}))
    assert do(AT_ONCE, service_config={"max_answer_bytes": 50_000}).result == {"sum": 1}


def test_requests_keep_the_rate(service: ScriptedService, do: Do) -> None:
    """Requests are evenly spaced, polls too."""
    service.on(SUBMIT, Reply()).on(STATUS, *[Reply({"status": "x"})] * 4, DONE)
    began = time.monotonic()
    assert do(service_config={"rate": 20}).state is JobState.SUCCEEDED
    assert time.monotonic() - began >= 0.225


def test_jobs_wait_for_a_free_slot_of_the_service(service: ScriptedService) -> None:
    """The service has no more jobs than its limit at a time; those that wait publish a message."""
    messages: list[str] = []

    async def three() -> int:
        client = ServiceClient(HttpService(url=service.url, concurrency=2))
        inside = most = 0

        async def one() -> None:
            nonlocal inside, most
            async with client.slot(messages.append):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.01)
                inside -= 1

        await asyncio.gather(*(one() for _ in range(6)))
        return most

    assert asyncio.run(three()) == 2
    assert messages == ["Waiting: the service runs at most 2 jobs at a time"] * 4


def test_connections_are_limited(service: ScriptedService) -> None:
    """However many requests there are."""
    service.on("GET /slow", Reply(1, holds=0.05))

    async def many() -> None:
        client = ServiceClient(HttpService(url=service.url, max_connections=3))
        await asyncio.gather(*(client.send(Call("GET", "/slow")) for _ in range(12)))

    asyncio.run(many())
    assert (service.busiest, len(service.requests)) == (3, 12)


def test_retries_of_a_submit_are_published(service: ScriptedService, do: Do) -> None:
    """A person who watches the task sees the reason for the wait."""
    service.on(SUBMIT, Reply({"detail": "busy"}, status=503), Reply(1))
    slow = {"retries": SOON | {"initial": 0.1, "maximum": 0.1}}
    messages = [each.message for each in do(AT_ONCE, service_config=slow).events if each.message]
    assert messages == [
        f"Try 1 of 6 failed: POST {service.url}/jobs/{JOB}: 503 Service Unavailable: "
        '{"detail": "busy"}; retrying in 0.1 s'
    ]


@pytest.mark.parametrize("secret", ["k\nX-Evil: 1", "schlüssel"])
def test_secret_that_is_not_a_valid_header_fails_the_job(
    service: ScriptedService, do: Do, tmp_path: Path, secret: str
) -> None:
    """The error names its source, and shows nothing of it."""
    (tmp_path / "key").write_text(secret)
    says = {"headers": {"X-Key": {"file": str(tmp_path / "key")}}, "retries": {"limit": 0}}
    failed = do(AT_ONCE, service_config=says).error
    assert failed is not None
    assert failed.message.endswith("/key is not one line of ASCII, as a header must be")
    assert secret[-4:] not in repr(failed)
    assert not service.requests


def test_cookies_of_one_job_are_not_sent_with_the_next(service: ScriptedService, do: Do) -> None:
    """The connection is used again, the session is not."""
    service.on(SUBMIT, Reply(headers={"Set-Cookie": "session=1; Path=/"})).on(STATUS, DONE)
    assert do().state is JobState.SUCCEEDED

    async def two() -> None:
        client = ServiceClient(HttpService(url=service.url))
        for _ in range(2):
            await client.send(Call("POST", f"/jobs/{JOB}"))

    asyncio.run(two())
    assert len(service.requests) == 4
    assert not any("Cookie" in each.headers for each in service.requests)


def test_error_of_a_broken_connection_has_a_reason(service: ScriptedService, do: Do) -> None:
    """The error of httpx for it has no text."""
    service.on(SUBMIT, Reply(hangs_up=True))
    failed = do(AT_ONCE, service_config={"retries": {"limit": 0}}).error
    assert failed is not None
    assert re.search(r": no answer: \w", failed.message)
    assert request_errors.reason(httpx.ReadError("")) == (
        "the connection broke while the answer was read"
    )
    error = httpx.ReadError("")
    error.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    assert request_errors.reason(error) == "[Errno 104] Connection reset by peer"
    assert request_errors.reason(httpx.UnsupportedProtocol("")) == "UnsupportedProtocol"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("86400", 300.0),
        ("inf", 300.0),
        ("nan", 0.0),
        ("-1", 0.0),
        ("2", 2.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 300.0),
        ("soon", 0.0),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_is_limited(value: str, seconds: float) -> None:
    """A day would be longer than any job waits for its status."""
    answer = httpx.Response(503, headers={"Retry-After": value})
    assert request_errors.retry_after(answer) == seconds


@pytest.mark.parametrize("depth", [101, 100_000])
def test_answer_that_is_nested_too_deeply_is_unusable(
    service: ScriptedService, do: Do, depth: int
) -> None:
    """It is a failure of the service, which polling tolerates like any other."""
    deep = Reply(b'{"status": ' + b"[" * depth + b"]" * depth + b"}")
    service.on(SUBMIT, deep)
    failed = do(AT_ONCE, service_config={"retries": {"limit": 0}}).error
    assert failed is not None
    assert failed.type == "http_unreadable"
    assert "its body is not JSON (nested deeper than 100 levels): " in failed.message
    service.on(SUBMIT, Reply()).on(STATUS, deep, deep, DONE)
    assert do().state is JobState.SUCCEEDED
    error = {"status": "failed", "error": {"message": json.loads("[" * 97 + "]" * 97)}}
    service.on(STATUS, Reply(error))
    failed = do().error
    assert failed is not None
    assert failed.message == "[" * 97 + "]" * 97
