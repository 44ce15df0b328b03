"""What goes out to a service: bodies, paths, secrets, limits; and answers that are results."""

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
from unit.gateway.http.conftest import JOB, SOON, Do
from unit.gateway.http.scripted import Says, Scripted

SUBMIT, STATUS = f"POST /jobs/{JOB}", f"GET /jobs/{JOB}"
DONE = Says({"status": "completed"})
AT_ONCE: dict[str, Any] = {"mode": "synchronous", "polling": None}


def test_answer_is_the_result(service: Scripted, do: Do) -> None:
    """A function that answers at once: the whole answer, or the part that the file names."""
    service.on(SUBMIT, Says({"sum": 5}))
    assert do(AT_ONCE).result == {"sum": 5}
    assert do(AT_ONCE | {"answer": {"result": "sum"}}).result == 5
    text = Says("5 Dateien für Ä".encode(), headers={"content-type": "text/plain; charset=utf-8"})
    service.on(SUBMIT, text)
    assert do(AT_ONCE).result == "5 Dateien für Ä"
    service.on(SUBMIT, Says(b"\x00\xff", headers={"content-type": "image/png"}))
    assert do(AT_ONCE).events[-1].result == b"\x00\xff"


def test_function_has_a_time_out_of_its_own(service: Scripted, do: Do) -> None:
    """It may take longer than the service's other answers, and is given up in time."""
    service.on(SUBMIT, Says("late", hangs=0.3))
    quick = {"timeout": 0.1, "retries": {"limit": 0}}
    assert do(AT_ONCE, service_says=quick).result == "late"
    failed = do(AT_ONCE | {"submit": {"timeout": 0.1}}, service_says=quick).error
    assert failed is not None
    assert failed.message == f"POST {service.url}/jobs/{JOB}: no answer within 0.1 s"


def test_function_that_fails(service: Scripted, do: Do) -> None:
    """What passes is tried again with the same key; the rest is told in its words."""
    service.on(SUBMIT, Says(status=503), Says({"sum": 1}))
    assert do(AT_ONCE).result == {"sum": 1}
    service.on(SUBMIT, Says({"error": "no such file"}, status=400))
    failed = do(AT_ONCE).error
    assert failed is not None
    assert failed.message.endswith('400 Bad Request: {"error": "no such file"}')
    service.on(SUBMIT, Says(b"{", headers={"content-type": "application/json"}))
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
def test_value_stays_in_its_place_of_the_path(
    service: Scripted, do: Do, payload: object, path: str
) -> None:
    """A payload cannot send the request elsewhere."""
    service.on(f"POST {path}", Says("found"))
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
def test_payload_that_makes_no_request(
    service: Scripted, do: Do, payload: object, words: str
) -> None:
    """Nothing is sent, and trying again cannot help."""
    failed = do(AT_ONCE | {"submit": {"path": "/files/{payload.name}"}}, payload=payload).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("invalid_payload", False)
    assert failed.message == f"the request cannot be built from the payload: {words}"
    assert not service.asked


def test_half_a_character_is_not_sent() -> None:
    """JSON of another publisher may have one in a payload; no retry makes it whole."""
    job = HttpJob.model_validate({"service": "it", "submit": {"path": "/jobs/{payload.name}"}})
    with pytest.raises(ApplicationError) as failure:
        submit_call(job, {"job_id": JOB, "payload": {"name": "a\ud83d"}}, Mask())
    assert (failure.value.type, failure.value.retryable) == ("invalid_payload", False)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "日本", "Ä"])
def test_header_that_cannot_be_sent(service: Scripted, do: Do, value: str) -> None:
    """A line break in a payload adds no header."""
    job = AT_ONCE | {"submit": {"headers": {"X-Name": "{payload}"}}}
    failed = do(job, payload=value).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("invalid_payload", False)
    assert failed.message.startswith(
        "the payload results in a request that cannot be sent: the header X-Name would contain "
    )
    assert not service.asked


def test_secrets_are_sent_and_never_told(
    service: Scripted, do: Do, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not even where the service sends them back; a file is read anew, for it may be renewed."""
    monkeypatch.setenv("AUDIT_KEY", "key-4711")
    token = tmp_path / "token"
    token.write_text("token-1\n")
    says = {
        "auth": {"bearer": {"file": str(token)}},
        "headers": {"X-Key": {"env": "AUDIT_KEY"}, "X-Team": "blue"},
    }
    service.on(SUBMIT, Says({"detail": "token-1 and key-4711 are not known"}, status=401))
    failed = do(AT_ONCE, service_says=says).error
    assert failed is not None
    assert '{"detail": "*** and *** are not known"}' in failed.message
    assert "token-1" not in repr(failed)
    assert "key-4711" not in repr(failed)
    sent = service.asked[0].headers
    assert (sent["Authorization"], sent["X-Key"], sent["X-Team"]) == (
        "Bearer token-1",
        "key-4711",
        "blue",
    )
    token.write_text("token-2\n")
    do(AT_ONCE, service_says=says)
    assert service.asked[1].headers["Authorization"] == "Bearer token-2"


def test_basic_authentication(service: Scripted, do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    """As RFC 7617 says, with any password."""
    monkeypatch.setenv("PASSWORD", "süß:1")
    service.on(SUBMIT, Says(1))
    do(
        AT_ONCE,
        service_says={"auth": {"basic": {"username": "u", "password": {"env": "PASSWORD"}}}},
    )
    scheme, _, pair = service.asked[0].headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", "u:süß:1")


def test_url_in_an_error_has_no_parameters(service: Scripted, do: Do) -> None:
    """They may hold a key."""
    service.on(f"{SUBMIT}?key=4711", Says("no", status=400))
    failed = do(AT_ONCE | {"submit": {"path": "/jobs/{job_id}?key=4711"}}).error
    assert failed is not None
    assert failed.message.startswith(f"POST {service.url}/jobs/{JOB}?…: 400")


def test_redirect_is_not_followed(service: Scripted, do: Do) -> None:
    """It would carry the token elsewhere: the error says where to."""
    service.on(SUBMIT, Says(status=302, headers={"Location": "http://127.0.0.1:9/x"}))
    failed = do(AT_ONCE).error
    assert failed is not None
    assert failed.message.endswith("302 Found to http://127.0.0.1:9/x: correct the URL in the file")
    assert not failed.retryable


def test_answer_that_is_too_large(service: Scripted, do: Do) -> None:
    """Is not read to its end."""
    service.on(SUBMIT, Says("x" * 100_000))
    small = {"max_answer_bytes": 50_000, "retries": {"limit": 0}}
    failed = do(AT_ONCE, service_says=small).error
    assert failed is not None
    assert failed.message.endswith(
        "200, but its body is larger than 50000 bytes (max_answer_bytes)"
    )
    assert not failed.retryable


def test_answer_that_is_too_large_is_not_asked_for_again(service: Scripted, do: Do) -> None:
    """The service has done its work; of an error page, however large, a retry may rid it."""
    large = Says(b"x" * 60_000)
    service.on(SUBMIT, large)
    assert do(AT_ONCE, service_says={"max_answer_bytes": 50_000}).state is JobState.FAILED
    assert len(service.requests(SUBMIT)) == 1
    service.on(SUBMIT, Says(b"x" * 60_000, status=503), Says({"sum": 1}))
    assert do(AT_ONCE, service_says={"max_answer_bytes": 50_000}).result == {"sum": 1}


def test_rate_is_kept(service: Scripted, do: Do) -> None:
    """Requests go out evenly, polls too."""
    service.on(SUBMIT, Says()).on(STATUS, *[Says({"status": "x"})] * 4, DONE)
    began = time.monotonic()
    polling = {"interval": 0.001, "maximum": 0.001}
    assert do({"polling": polling}, service_says={"rate": 10}).state is JobState.SUCCEEDED
    assert time.monotonic() - began >= 0.45


def test_jobs_wait_for_a_free_slot_of_the_service(service: Scripted) -> None:
    """No more jobs than it bears are there at once; those that wait say so."""
    told: list[str] = []

    async def three() -> int:
        client = ServiceClient(HttpService(url=service.url, concurrency=2))
        inside = most = 0

        async def one() -> None:
            nonlocal inside, most
            async with client.slot(told.append):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.05)
                inside -= 1

        await asyncio.gather(*(one() for _ in range(6)))
        return most

    assert asyncio.run(three()) == 2
    assert told == ["Waiting: the service runs at most 2 jobs at a time"] * 4


def test_connections_are_limited(service: Scripted) -> None:
    """However many requests there are to send."""
    service.on("GET /slow", Says(1, hangs=0.05))

    async def many() -> None:
        client = ServiceClient(HttpService(url=service.url, max_connections=3))
        await asyncio.gather(*(client.send(Call("GET", "/slow")) for _ in range(12)))

    asyncio.run(many())
    assert (service.busiest, len(service.asked)) == (3, 12)


def test_retries_of_a_submit_are_published(service: Scripted, do: Do) -> None:
    """So that a person who watches the task knows why nothing happens."""
    service.on(SUBMIT, Says({"detail": "busy"}, status=503), Says(1))
    slow = {"retries": SOON | {"initial": 0.7, "maximum": 0.7}}
    told = [each.message for each in do(AT_ONCE, service_says=slow).events if each.message]
    assert told == [
        f"Try 1 of 6 failed: POST {service.url}/jobs/{JOB}: 503 Service Unavailable: "
        '{"detail": "busy"}; retrying in 0.7 s'
    ]


@pytest.mark.parametrize("secret", ["k\nX-Evil: 1", "schlüssel"])
def test_secret_that_no_header_can_have(
    service: Scripted, do: Do, tmp_path: Path, secret: str
) -> None:
    """The error names where it stands, and nothing of it."""
    (tmp_path / "key").write_text(secret)
    says = {"headers": {"X-Key": {"file": str(tmp_path / "key")}}, "retries": {"limit": 0}}
    failed = do(AT_ONCE, service_says=says).error
    assert failed is not None
    assert failed.message.endswith("/key is not one line of ASCII, as a header must be")
    assert secret[-4:] not in repr(failed)
    assert not service.asked


def test_cookies_of_one_job_are_not_sent_with_the_next(service: Scripted, do: Do) -> None:
    """The connection is used again; a session is not."""
    service.on(SUBMIT, Says(headers={"Set-Cookie": "session=1; Path=/"})).on(STATUS, DONE)
    assert do().state is JobState.SUCCEEDED

    async def two() -> None:
        client = ServiceClient(HttpService(url=service.url))
        for _ in range(2):
            await client.send(Call("POST", f"/jobs/{JOB}"))

    asyncio.run(two())
    assert len(service.asked) == 4
    assert not any("Cookie" in each.headers for each in service.asked)


def test_connection_that_breaks_has_a_reason(service: Scripted, do: Do) -> None:
    """Httpx has an error without words for it."""
    service.on(SUBMIT, Says(hangs_up=True))
    failed = do(AT_ONCE, service_says={"retries": {"limit": 0}}).error
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
def test_pause_that_a_service_asks_for_is_bounded(value: str, seconds: float) -> None:
    """A day would be longer than any job waits for its status."""
    answer = httpx.Response(503, headers={"Retry-After": value})
    assert request_errors.retry_after(answer) == seconds


@pytest.mark.parametrize("depth", [101, 100_000])
def test_answer_that_is_nested_too_deeply(service: Scripted, do: Do, depth: int) -> None:
    """It is a failure of the service, borne as any other while a job is watched."""
    deep = Says(b'{"status": ' + b"[" * depth + b"]" * depth + b"}")
    service.on(SUBMIT, deep)
    failed = do(AT_ONCE, service_says={"retries": {"limit": 0}}).error
    assert failed is not None
    assert failed.type == "http_unreadable"
    assert "its body is not JSON (nested deeper than 100 levels): " in failed.message
    service.on(SUBMIT, Says()).on(STATUS, deep, deep, DONE)
    assert do().state is JobState.SUCCEEDED
    error = {"status": "failed", "error": {"message": json.loads("[" * 97 + "]" * 97)}}
    service.on(STATUS, Says(error))
    failed = do().error
    assert failed is not None
    assert failed.message == "[" * 97 + "]" * 97
