"""What is said to a service that calls back, and what is kept of it."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kafka_bridge.gateway.callbacks import bodies
from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome, CallbackRefused
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordTooLarge
from unit.examples_count import examples
from unit.gateway.callbacks.conftest import JOB, Receive

RUNNING = {"status": "running", "progress": {"completed": 1, "total": 2}}
ENDED = {"status": "completed", "result": 42}
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=5)
SECRET = "a secret that nobody can guess"


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_callback_is_kept_as_it_came(receive: Receive, method: str) -> None:
    """A body is kept byte by byte under its job's id, and accepted."""
    receiving = receive()
    body = b'{"status" : "running",\n "progress": null}'
    answer = await receiving.call_back(body, method=method)
    assert (answer.status_code, answer.json()) == (202, {"detail": "accepted"})
    ((job, kept, headers),) = receiving.kept
    assert (job, kept) == (JOB, body)
    assert dict(headers) == {
        "content-type": b"application/json",
        "kafka-bridge-job-type": b"work",
        "kafka-bridge-ends-job": b"false",
    }
    assert receiving.counted == [CallbackOutcome.ACCEPTED]


async def test_behind_a_proxy_that_takes_the_path_out(receive: Receive) -> None:
    """Callbacks arrive whether or not a proxy leaves the public URL's path in."""
    receiving = receive()
    path = receiving.tokens.url(JOB, "work").partition("/bridge")[2]
    answer = await receiving.client.post(f"http://10.0.0.1{path}", json=RUNNING)
    assert answer.status_code == 202
    assert (await receiving.client.get("http://10.0.0.1/health")).json() == {"status": "ok"}


async def test_after_the_end(receive: Receive) -> None:
    """The same end again is harmless; another end, or progress, is a conflict. Nothing is kept."""
    receiving = receive()
    ends = [await receiving.call_back(ENDED) for _ in range(3)]
    assert [each.status_code for each in ends] == [202, 200, 200]
    assert ends[1].json() == {"detail": "this callback was already accepted"}
    for late in (RUNNING, {"status": "failed"}, {**ENDED, "result": 43}):
        answer = await receiving.call_back(late)
        assert answer.status_code == 409
        assert answer.json() == {"detail": "the job is already finished: another callback ended it"}
    assert len(receiving.kept) == 1
    assert dict(receiving.kept[0][2])["kafka-bridge-ends-job"] == b"true"
    assert receiving.counted[3:] == [CallbackOutcome.CONFLICT] * 3


async def test_two_ends_that_come_together(receive: Receive) -> None:
    """One is taken, the other refused: the second is looked at once the first is kept, or not."""
    receiving = receive()
    receiving.keeps_for = 0.1
    other = {**ENDED, "result": 43}
    answers = await asyncio.gather(*map(receiving.call_back, [ENDED, other, ENDED]))
    assert [each.status_code for each in answers] == [202, 409, 200]
    assert len(receiving.kept) == 1


async def test_end_that_is_not_kept_leaves_the_place_to_the_next(receive: Receive) -> None:
    """It is the second that ends the job; locks of jobs are not collected for ever."""
    receiving = receive()
    receiving.keeps_for = 0.1
    receiving.fails = BrokerUnreachable("no Kafka broker answered")
    first = asyncio.create_task(receiving.call_back(ENDED))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(receiving.call_back({**ENDED, "result": 43}))
    assert (await first).status_code == 503
    receiving.fails = None
    assert (await second).status_code == 202
    gc.collect()
    assert len(receiving.receiver._turns) == 0


async def test_the_files_words_say_what_ends_a_job(receive: Receive) -> None:
    """What ends a job is told by the words that the file gives for its type."""
    receiving = receive({"answer": {"state": "phase", "succeeded": ["DONE"], "running": ["BUSY"]}})
    for phase, status in (("BUSY", 202), ("DONE", 202), ("BUSY", 409)):
        assert (await receiving.call_back({"phase": phase})).status_code == status
    assert (await receiving.call_back({"phase": "completed"})).status_code == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not JSON"),
        (b"status=completed", "the body is not JSON"),
        (b"\xff\xfe{", "the body is not JSON"),
        (b'{"status": NaN}', "NaN is not a number in JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"1" * 10_000, "the body is not JSON"),
        (b'[{"status": "completed"}]', "the body is JSON, but not an object"),
        (b'"completed"', "the body is JSON, but not an object"),
        (b"{}", "'status' must be the state of the job"),
        (b'{"status": ["completed"]}', "'status' must be the state of the job"),
    ],
)
async def test_malformed_bodies_are_refused_with_a_reason(
    receive: Receive, body: bytes, words: str
) -> None:
    """A body that says nothing of its job is refused in words that say what was expected."""
    receiving = receive()
    answer = await receiving.call_back(body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert (receiving.kept, receiving.counted) == ([], [CallbackOutcome.MALFORMED])


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
SPEAKING = st.sampled_from(["status", "progress", "message", "result", "error", "details"])


@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.dictionaries(SPEAKING, ANY_JSON | st.sampled_from(["running", "failed"])))
@example(body={"status": ["\ud800"]})
@example(body={"status": "failed", "error": {"message": "\ud800", "code": 10**400}})
async def test_whatever_an_object_says(receive: Receive, body: dict[str, Any]) -> None:
    """Any JSON object is taken or refused in words: none breaks the receiver."""
    answer = await receive().call_back(json.dumps(body).encode())
    assert answer.status_code in {202, 422}
    assert answer.json()["detail"]


@pytest.mark.parametrize("size", [999, 1000, 1001, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_size_limit(receive: Receive, size: int, *, chunked: bool) -> None:
    """A body of ``max_body_bytes`` is taken and a longer one refused, its length said or not."""
    receiving = receive(max_body_bytes=1000)
    body = b'{"status": "running", "x": "%s"}' % (b"x" * (size - 30))
    assert len(body) == size

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, size, 100):
            yield body[at : at + 100]

    url = receiving.tokens.url(JOB, "work")
    answer = await receiving.client.post(url, content=chunks() if chunked else body)
    assert answer.status_code == (202 if size <= 1000 else 413)
    if size > 1000:
        assert "the body is longer than 1,000 bytes" in answer.json()["detail"]
        assert (receiving.kept, receiving.counted) == ([], [CallbackOutcome.OVERSIZED])


async def test_no_more_than_the_limit_is_held() -> None:
    """Of a body that goes on and on, no more is held than may be; at last it is not read either."""
    read = 0
    chunk = bytes(1024 * 1024)

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += len(chunk)
            yield chunk

    with pytest.raises(CallbackRefused, match="longer than 10 bytes"):
        await bodies.read_body(endless(), 10)
    assert bodies.DISCARD_BYTES < read <= bodies.DISCARD_BYTES + 2 * len(chunk)


async def test_a_body_that_never_ends(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that stays out is not waited for for ever."""
    monkeypatch.setattr(bodies, "READ_SECONDS", 0.05)
    receiving = receive()

    async def halting() -> AsyncIterator[bytes]:
        yield b'{"status":'
        await asyncio.sleep(30)

    url = receiving.tokens.url(JOB, "work")
    answer = await receiving.client.post(url, content=halting())
    assert (answer.status_code, answer.json()["detail"]) == (
        408,
        "the body did not arrive within 0.05 s",
    )
    assert receiving.counted == [CallbackOutcome.TOO_SLOW]


@pytest.mark.parametrize("prefix", ["", "sha256="])
async def test_wrong_and_missing_signatures_are_refused(
    receive: Receive, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """Where the file asks for one, a body without its signature, or with another's, is refused."""
    monkeypatch.setenv("SIGNING", "the service's")
    receiving = receive({"signature": {"secret": {"env": "SIGNING"}, "prefix": prefix}})
    body = json.dumps(RUNNING).encode()
    right = hmac.new(b"the service's", body, hashlib.sha256).hexdigest()
    wrong = hmac.new(b"another's", body, hashlib.sha256).hexdigest()

    async def signed(value: str | bytes | None, content: bytes = body) -> tuple[int, str]:
        headers: Any = {} if value is None else {"x-signature-256": value}
        answer = await receiving.call_back(content, headers=headers)
        return answer.status_code, answer.json()["detail"]

    assert await signed(prefix + right) == (202, "accepted")
    assert await signed(prefix + right.upper()) == (202, "accepted")
    status, words = await signed(None)
    assert status == 401
    assert words == "the header X-Signature-256 with the signature of the body is missing"
    for bad in (prefix + wrong, prefix, "", f"md5={right}", prefix + right[:-1], b"\xfc\xe9"):
        status, words = await signed(bad)
        assert status == 401
        assert "the signature in the header X-Signature-256 does not match the body" in words
    assert (await signed(prefix + right, body + b" "))[0] == 401
    if prefix:
        assert (await signed(right))[0] == 401
    assert len(receiving.kept) == 2


async def test_of_who_is_nobody_nothing_is_looked_at(receive: Receive) -> None:
    """A forged URL is refused whatever the body is, and what it is refused for is not told."""
    receiving = receive()
    for body in (ENDED, b"", bytes(2_000_000)):
        answer = await receiving.call_back(body, token="forged.token.here")
        assert answer.status_code == 401
        assert answer.json() == {"detail": "this is not a callback URL of this gateway"}
    assert receiving.counted == [CallbackOutcome.UNAUTHORIZED] * 3
    assert receiving.kept == []


async def test_expired(receive: Receive) -> None:
    """A URL that is too old is refused as such."""
    receiving = receive(expires_after=1e-9)
    assert (await receiving.call_back(ENDED)).status_code == 403
    assert receiving.counted == [CallbackOutcome.EXPIRED]


async def test_unknown_job_type(receive: Receive) -> None:
    """A URL for a type that the file no longer has is answered in words."""
    receiving = receive()
    answer = await receiving.call_back(ENDED, job_type="gone")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "callbacks are not expected for job type 'gone'"}
    assert receiving.counted == [CallbackOutcome.UNKNOWN_JOB_TYPE]


async def test_callback_that_kafka_does_not_store_is_refused(
    receive: Receive, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a callback is not kept the service is asked to send it again, and can: it is no end.

    What Kafka says stands in the log, and not in the answer.
    """
    receiving = receive()
    receiving.fails = BrokerUnreachable("no Kafka broker answered at kafka-1:9092")
    answer = await receiving.call_back(ENDED)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json() == {"detail": "the callback could not be stored: send it again later"}
    assert f"Could not store a callback for job {JOB}: no Kafka broker" in caplog.text
    receiving.fails = None
    assert (await receiving.call_back(ENDED)).status_code == 202
    assert receiving.counted == [CallbackOutcome.UNAVAILABLE, CallbackOutcome.ACCEPTED]


async def test_kafka_finds_it_too_large(receive: Receive) -> None:
    """What the brokers will never take is refused as too long: to send it again would not help."""
    receiving = receive()
    receiving.fails = RecordTooLarge("a record of 1,000,000 bytes is too large")
    answer = await receiving.call_back(ENDED)
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("a body of ")


async def test_a_secret_that_is_gone(
    receive: Receive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its secret the receiver takes nothing, asks to be tried again, and logs why."""
    receiving = receive()
    token = receiving.tokens.url(JOB, "work").rpartition("/")[2]
    monkeypatch.delenv("CALLBACK_SECRET")
    answer = await receiving.call_back(ENDED, token=token)
    assert answer.status_code == 503
    assert answer.json() == {
        "detail": "callbacks cannot be checked at the moment: send it again later"
    }
    assert "the environment variable CALLBACK_SECRET is not set" in caplog.text


async def test_no_secret_in_answers_or_logs(
    receive: Receive, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what is answered nor what is logged holds a secret, or a token."""
    caplog.set_level(logging.DEBUG, logger="kafka_bridge")
    receiving = receive({"signature": {"secret": {"env": "CALLBACK_SECRET"}}})
    token = receiving.tokens.url(JOB, "work").rpartition("/")[2]
    answers = [
        await receiving.call_back(ENDED),
        await receiving.call_back(ENDED, headers={"X-Signature-256": "0" * 64}),
        await receiving.call_back(ENDED, token=f"{token}x"),
        await receiving.client.get(receiving.tokens.url(JOB, "work")),
    ]
    assert [each.status_code for each in answers] == [401, 401, 401, 405]
    right = hmac.new(SECRET.encode(), answers[0].request.content, hashlib.sha256).hexdigest()
    said = "".join(each.text for each in answers) + caplog.text
    for secret in (SECRET, token, right):
        assert secret not in said
