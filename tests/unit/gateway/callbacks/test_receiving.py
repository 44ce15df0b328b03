"""Callbacks of a service: how they are answered, and which of them are stored."""

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
from unit.gateway.callbacks.conftest import JOB, StartReceiver

RUNNING = {"status": "running", "progress": {"completed": 1, "total": 2}}
ENDED = {"status": "completed", "result": 42}
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=5)
SECRET = "a secret that nobody can guess"


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_callback_is_stored_unchanged(start_receiver: StartReceiver, method: str) -> None:
    """Its body is stored byte by byte under the id of its job."""
    receiver = start_receiver()
    body = b'{"status" : "running",\n "progress": null}'
    answer = await receiver.post(body, method=method)
    assert (answer.status_code, answer.json()) == (202, {"detail": "accepted"})
    ((job, stored, headers),) = receiver.stored
    assert (job, stored) == (JOB, body)
    assert dict(headers) == {
        "content-type": b"application/json",
        "kafka-bridge-job-type": b"work",
        "kafka-bridge-ends-job": b"false",
    }
    assert receiver.outcomes == [CallbackOutcome.ACCEPTED]


async def test_proxy_may_remove_the_path_of_the_public_url(start_receiver: StartReceiver) -> None:
    """Callbacks arrive with and without it."""
    receiver = start_receiver()
    path = receiver.tokens.url(JOB, "work").partition("/bridge")[2]
    answer = await receiver.client.post(f"http://10.0.0.1{path}", json=RUNNING)
    assert answer.status_code == 202
    assert (await receiver.client.get("http://10.0.0.1/health")).json() == {"status": "ok"}


async def test_callbacks_after_the_end_are_not_stored(start_receiver: StartReceiver) -> None:
    """The same end again is accepted; another end, or progress, is a conflict."""
    receiver = start_receiver()
    ends = [await receiver.post(ENDED) for _ in range(3)]
    assert [each.status_code for each in ends] == [202, 200, 200]
    assert ends[1].json() == {"detail": "this callback was already accepted"}
    for late in (RUNNING, {"status": "failed"}, {**ENDED, "result": 43}):
        answer = await receiver.post(late)
        assert answer.status_code == 409
        assert answer.json() == {"detail": "the job is already finished: another callback ended it"}
    assert len(receiver.stored) == 1
    assert dict(receiver.stored[0][2])["kafka-bridge-ends-job"] == b"true"
    assert receiver.outcomes[3:] == [CallbackOutcome.CONFLICT] * 3


async def test_one_of_two_simultaneous_ends_is_accepted(start_receiver: StartReceiver) -> None:
    """The second is checked when the first is stored."""
    receiver = start_receiver()
    receiver.store_seconds = 0.05
    other = {**ENDED, "result": 43}
    answers = await asyncio.gather(*map(receiver.post, [ENDED, other, ENDED]))
    assert [each.status_code for each in answers] == [202, 409, 200]
    assert len(receiver.stored) == 1


async def test_end_that_cannot_be_stored_does_not_end_the_job(
    start_receiver: StartReceiver,
) -> None:
    """The next one does. Locks of jobs are deleted."""
    receiver = start_receiver()
    receiver.store_seconds = 0.05
    receiver.error = BrokerUnreachable("no Kafka broker answered")
    first = asyncio.create_task(receiver.post(ENDED))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(receiver.post({**ENDED, "result": 43}))
    assert (await first).status_code == 503
    receiver.error = None
    assert (await second).status_code == 202
    gc.collect()
    assert len(receiver.receiver._turns) == 0


async def test_configured_words_end_a_job(start_receiver: StartReceiver) -> None:
    """With the words for its job type in the file."""
    receiver = start_receiver(
        {"answer": {"state": "phase", "succeeded": ["DONE"], "running": ["BUSY"]}}
    )
    for phase, status in (("BUSY", 202), ("DONE", 202), ("BUSY", 409)):
        assert (await receiver.post({"phase": phase})).status_code == status
    assert (await receiver.post({"phase": "completed"})).status_code == 422


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
    start_receiver: StartReceiver, body: bytes, words: str
) -> None:
    """The reason says what was expected."""
    receiver = start_receiver()
    answer = await receiver.post(body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert (receiver.stored, receiver.outcomes) == ([], [CallbackOutcome.MALFORMED])


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
KNOWN_KEYS = st.sampled_from(["status", "progress", "message", "result", "error", "details"])


@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.dictionaries(KNOWN_KEYS, ANY_JSON | st.sampled_from(["running", "failed"])))
@example(body={"status": ["\ud800"]})
@example(body={"status": "failed", "error": {"message": "\ud800", "code": 10**400}})
async def test_any_json_object_is_accepted_or_refused(
    start_receiver: StartReceiver, body: dict[str, Any]
) -> None:
    """With a reason; none raises another error."""
    answer = await start_receiver().post(json.dumps(body).encode())
    assert answer.status_code in {202, 422}
    assert answer.json()["detail"]


@pytest.mark.parametrize("size", [999, 1000, 1001, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_size_of_a_body_is_limited(
    start_receiver: StartReceiver, size: int, *, chunked: bool
) -> None:
    """Up to ``max_body_bytes``, whether or not a header has the length."""
    receiver = start_receiver(max_body_bytes=1000)
    body = b'{"status": "running", "x": "%s"}' % (b"x" * (size - 30))
    assert len(body) == size

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, size, 100):
            yield body[at : at + 100]

    url = receiver.tokens.url(JOB, "work")
    answer = await receiver.client.post(url, content=chunks() if chunked else body)
    assert answer.status_code == (202 if size <= 1000 else 413)
    if size > 1000:
        assert "the body is longer than 1,000 bytes" in answer.json()["detail"]
        assert (receiver.stored, receiver.outcomes) == ([], [CallbackOutcome.OVERSIZED])


async def test_endless_body_is_neither_held_nor_read() -> None:
    """No more than the limit is held in memory; later, the rest is not read either."""
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


async def test_body_has_a_timeout(
    start_receiver: StartReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that stops in the middle is refused."""
    monkeypatch.setattr(bodies, "READ_SECONDS", 0.05)
    receiver = start_receiver()

    async def stops() -> AsyncIterator[bytes]:
        yield b'{"status":'
        await asyncio.sleep(30)

    url = receiver.tokens.url(JOB, "work")
    answer = await receiver.client.post(url, content=stops())
    assert (answer.status_code, answer.json()["detail"]) == (
        408,
        "the body did not arrive within 0.05 s",
    )
    assert receiver.outcomes == [CallbackOutcome.TOO_SLOW]


@pytest.mark.parametrize("prefix", ["", "sha256="])
async def test_wrong_and_missing_signatures_are_refused(
    start_receiver: StartReceiver, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """If the file configures one, for a body without its signature, or with another one."""
    monkeypatch.setenv("SIGNING", "the service's")
    receiver = start_receiver({"signature": {"secret": {"env": "SIGNING"}, "prefix": prefix}})
    body = json.dumps(RUNNING).encode()
    right = hmac.new(b"the service's", body, hashlib.sha256).hexdigest()
    wrong = hmac.new(b"another's", body, hashlib.sha256).hexdigest()

    async def signed(value: str | bytes | None, content: bytes = body) -> tuple[int, str]:
        headers: Any = {} if value is None else {"x-signature-256": value}
        answer = await receiver.post(content, headers=headers)
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
    assert len(receiver.stored) == 2


async def test_body_of_a_forged_url_is_not_read(start_receiver: StartReceiver) -> None:
    """Whatever it is, the answer is the same and gives no hint."""
    receiver = start_receiver()
    for body in (ENDED, b"", bytes(2_000_000)):
        answer = await receiver.post(body, token="forged.token.here")
        assert answer.status_code == 401
        assert answer.json() == {"detail": "this is not a callback URL of this gateway"}
    assert receiver.outcomes == [CallbackOutcome.UNAUTHORIZED] * 3
    assert receiver.stored == []


async def test_expired_url_is_refused(start_receiver: StartReceiver) -> None:
    """Its outcome is counted as such."""
    receiver = start_receiver(expires_after=1e-9)
    assert (await receiver.post(ENDED)).status_code == 403
    assert receiver.outcomes == [CallbackOutcome.EXPIRED]


async def test_url_of_an_unknown_job_type_is_refused(start_receiver: StartReceiver) -> None:
    """The file no longer has that job type."""
    receiver = start_receiver()
    answer = await receiver.post(ENDED, job_type="gone")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "callbacks are not expected for job type 'gone'"}
    assert receiver.outcomes == [CallbackOutcome.UNKNOWN_JOB_TYPE]


async def test_callback_that_kafka_does_not_store_is_refused(
    start_receiver: StartReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The service is asked to send it again, and may: it has ended no job.

    The error of Kafka is in the log, not in the answer.
    """
    receiver = start_receiver()
    receiver.error = BrokerUnreachable("no Kafka broker answered at kafka-1:9092")
    answer = await receiver.post(ENDED)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json() == {"detail": "the callback could not be stored: send it again later"}
    assert f"Could not store a callback for job {JOB}: no Kafka broker" in caplog.text
    receiver.error = None
    assert (await receiver.post(ENDED)).status_code == 202
    assert receiver.outcomes == [CallbackOutcome.UNAVAILABLE, CallbackOutcome.ACCEPTED]


async def test_callback_that_is_too_large_for_kafka_is_refused(
    start_receiver: StartReceiver,
) -> None:
    """Permanently: sending it again would not help."""
    receiver = start_receiver()
    receiver.error = RecordTooLarge("a record of 1,000,000 bytes is too large")
    answer = await receiver.post(ENDED)
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("a body of ")


async def test_callback_is_refused_while_the_secret_is_missing(
    start_receiver: StartReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Temporarily; the log has the reason."""
    receiver = start_receiver()
    token = receiver.tokens.url(JOB, "work").rpartition("/")[2]
    monkeypatch.delenv("CALLBACK_SECRET")
    answer = await receiver.post(ENDED, token=token)
    assert answer.status_code == 503
    assert answer.json() == {
        "detail": "callbacks cannot be checked at the moment: send it again later"
    }
    assert "the environment variable CALLBACK_SECRET is not set" in caplog.text


async def test_no_secret_in_answers_or_logs(
    start_receiver: StartReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither secrets nor tokens."""
    caplog.set_level(logging.DEBUG, logger="kafka_bridge")
    receiver = start_receiver({"signature": {"secret": {"env": "CALLBACK_SECRET"}}})
    token = receiver.tokens.url(JOB, "work").rpartition("/")[2]
    answers = [
        await receiver.post(ENDED),
        await receiver.post(ENDED, headers={"X-Signature-256": "0" * 64}),
        await receiver.post(ENDED, token=f"{token}x"),
        await receiver.client.get(receiver.tokens.url(JOB, "work")),
    ]
    assert [each.status_code for each in answers] == [401, 401, 401, 405]
    right = hmac.new(SECRET.encode(), answers[0].request.content, hashlib.sha256).hexdigest()
    shown = "".join(each.text for each in answers) + caplog.text
    for secret in (SECRET, token, right):
        assert secret not in shown
