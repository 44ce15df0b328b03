"""Dead letters on the board: who sees them, what is shown of any bytes, and the replay."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.monitor.dead_letters import ReplayRefused
from kafka_bridge.protocol.errors import KafkaError, RecordLocation
from kafka_bridge.protocol.messages import JobState, Task
from kafka_bridge.protocol.topics import DEAD_LETTER_TOPIC
from unit.monitor.records import job_id

from .boards import FROM_PAGE, Follower, OnlyDag, Source, client, get

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202eevil\x00"
HARMLESS = "<script>alert(1)</script>\\x1b[31m\\u202eevil\\x00"


async def test_list_tells_the_reason_and_the_job() -> None:
    """The worker is that of the job, which its events tell."""
    source = Source()
    source.letters.set_aside(1)
    source.report(source.submit(1), JobState.FAILED, worker_id="w-7")
    (found,) = (await get(source, "/api/dead-letters"))["letters"]
    assert found["location"] == f"{DEAD_LETTER_TOPIC}[0]@0"
    assert found["original"] == "jobs.requests[1]@41"
    assert (found["error_type"], found["error_message"]) == ("RuntimeError", "no disk")
    assert (found["correlation_id"], found["job_type"]) == (job_id(1), "files.audit")
    assert (found["task"]["dag_id"], found["worker_id"]) == ("nightly", "w-7")
    assert found["dead_lettered_at"] == "2026-03-01T12:00:05Z"


@pytest.mark.parametrize(
    ("key", "value"), [(None, b"\xff\xfe"), (b"\xff", None), (b"", HOSTILE.encode())]
)
async def test_any_bytes_are_shown_and_are_harmless(key: bytes | None, value: bytes | None) -> None:
    """Keys, values, names and values of headers, and the error's text are all from outside."""
    source = Source()
    headers: Any = [(HOSTILE, HOSTILE.encode()), ("bytes", b"\xff" * 500), ("none", None)]
    path = source.letters.write(key, value, headers, HOSTILE)
    (listed,) = (await get(source, "/api/dead-letters"))["letters"]
    assert (listed["correlation_id"], listed["job_type"]) == (None, None)
    assert (listed["is_readable"], listed["error_message"]) == (False, HARMLESS)
    found = await get(source, path)
    assert found["unreadable"]
    assert found["headers"][0] == {"name": HARMLESS, "value": HARMLESS}
    assert found["headers"][1]["value"] == f"0x{'ff' * 64} …"
    assert found["headers"][2]["value"] == ""


async def test_value_comes_on_request_only() -> None:
    """The payload of a request; else the value, in hex if it is no text."""
    source = Source()
    readable = source.letters.set_aside(1, payload=b'{"a": 1}', payload_type="application/json")
    text = source.letters.write(b"k", HOSTILE.encode(), [])
    binary = source.letters.write(b"k", b"\xc3\x01\xff" * 400, [])
    empty = source.letters.write(b"k", None, [])
    assert '"a"' not in str(await get(source, readable))
    assert (await get(source, f"{readable}/value"))["text"] == '{"a": 1}'
    assert (await get(source, f"{text}/value"))["text"] == HARMLESS
    found = await get(source, f"{binary}/value")
    assert found["size"] == 1_200
    assert found["text"].startswith("000000  c3 01 ff")
    async with client(source) as board:
        assert (await board.get(f"{empty}/value")).status_code == 404


async def test_very_many_headers_are_cut() -> None:
    """The answer says how many are not shown."""
    source = Source()
    path = source.letters.write(b"k", b"x", [(f"h-{each}", b"x" * 10_000) for each in range(150)])
    found = await get(source, path)
    assert (len(found["headers"]), found["left_out"]) == (100, 50)
    assert all(len(each["value"]) <= 2_000 for each in found["headers"])


async def test_visitor_sees_the_dead_letters_of_the_jobs_that_it_may_see() -> None:
    """A letter that cannot be read is of no job that a policy knows."""
    source = Source()
    mine = source.letters.set_aside(1)
    others = source.letters.set_aside(2, task=Task("production", "weekly", "run", "copy"))
    unreadable = source.letters.write(job_id(1).encode(), b"\xff", [])

    def only_nightly(_: object) -> OnlyDag:
        return OnlyDag()

    found = await get(source, "/api/dead-letters", only_nightly)
    assert [each["correlation_id"] for each in found["letters"]] == [job_id(1)]
    shown = await get(source, mine, only_nightly)
    assert (shown["may_see_value"], shown["may_replay"]) == (False, False)
    async with client(source, only_nightly) as board:
        answers = [await board.get(each) for each in (others, unreadable, f"{mine}/value")]
        replay = await board.post(f"{mine}/replay", json={}, headers=FROM_PAGE)
    assert [each.status_code for each in answers] == [404, 404, 403]
    assert (replay.status_code, source.letters.replayed) == (403, [])


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (FROM_PAGE, {"json": {"as_new": True}}, 202),
        ({}, {"json": {}}, 403),
        ({"Sec-Fetch-Site": "cross-site", "X-Kafka-Bridge": "1"}, {"json": {}}, 403),
        (FROM_PAGE, {"content": "{}", "headers": {"Content-Type": "text/plain"}}, 415),
        (FROM_PAGE, {"json": {"to": "other"}}, 422),
    ],
)
async def test_only_the_board_itself_and_programs_replay(
    headers: dict[str, str], body: dict[str, Any], status: int
) -> None:
    """As with a cancel: a page of another site, or a form, does not."""
    source = Source()
    path = source.letters.set_aside(1)
    body = {**body, "headers": {**headers, **body.get("headers", {})}}
    async with client(source) as board:
        response = await board.post(f"{path}/replay", **body)
    assert response.status_code == status
    sent = [(RecordLocation(DEAD_LETTER_TOPIC, 0, 0), True)]
    assert source.letters.replayed == (sent if status == 202 else [])
    if status == 202:
        assert response.json() == {"location": "jobs.requests[0]@9", "new_job": job_id(99)}


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(ReplayRefused("job 1 is finished"), 409), (KafkaError("no broker answers"), 503)],
)
async def test_replay_that_is_not_done_says_why(refusal: Any, status: int) -> None:
    """It is not an internal error."""
    source = Source()
    path = source.letters.set_aside(1)
    source.letters.refusal = refusal
    async with client(source) as board:
        response = await board.post(f"{path}/replay", json={}, headers=FROM_PAGE)
    assert (response.status_code, response.json()["detail"]) == (status, f"Not replayed: {refusal}")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{DEAD_LETTER_TOPIC}/0/7", 404),
        ("jobs.requests/0/0", 404),
        (f"{DEAD_LETTER_TOPIC}/0/-1", 422),
        (f"{DEAD_LETTER_TOPIC}/0/{2**63}", 422),
        (f"{DEAD_LETTER_TOPIC}/x/0", 422),
    ],
)
async def test_place_without_a_dead_letter_is_not_found(path: str, status: int) -> None:
    """Records of other topics are not shown, whoever asks."""
    async with client(Source()) as board:
        assert (await board.get(f"/api/dead-letters/{path}")).status_code == status


async def test_topic_that_cannot_be_read_is_a_field_and_kafka_that_is_away_an_error() -> None:
    """What is known of the other topics is shown."""
    source = Source()
    source.letters.set_aside(1)
    source.letters.failures = ["topic 'x' does not exist"]
    found = await get(source, "/api/dead-letters")
    assert (len(found["letters"]), found["failures"]) == (1, ["topic 'x' does not exist"])
    away = Source(follower=Follower("no broker answers at kafka:9092", is_live=False))
    async with client(away) as board:
        response = await board.get("/api/dead-letters")
    assert response.status_code == 503
    assert "no broker answers at kafka:9092" in response.json()["detail"]
