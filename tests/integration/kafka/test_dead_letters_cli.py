"""``kafka-bridge dead-letters`` on a real Kafka."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest

from integration.jobs import config_of
from integration.kafka.dead_letters import ORIGINAL_MS, Office
from kafka_bridge.kafka.admin import dead_letter_topic
from kafka_bridge.protocol.codec import detect, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import UnknownSchema
from kafka_bridge.protocol.headers import CORRELATION_ID, REPLY_TOPIC, text_header
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, JobState, utc_now
from kafka_bridge.testing import Broker
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from conftest import TopicFactory

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def producer(real_broker: Broker) -> ck.Producer:
    """Give one producer to all tests; it is not idempotent, which would take it half a second."""
    return ck.Producer({"bootstrap.servers": real_broker.bootstrap_servers, "linger.ms": 0})


@pytest.fixture
def office(
    real_broker: Broker,
    producer: ck.Producer,
    topics: TopicFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Office:
    """Give new topics, and the command for them."""
    return Office(
        config_of(real_broker.bootstrap_servers),
        requests=topics("requests", 2),
        responses=topics("responses", 2),
        dead_letters=topics("dead-letters", 1),
        capture=capsys,
        monkeypatch=monkeypatch,
        producer=producer,
    )


def test_list_shows_position_job_and_reason(office: Office) -> None:
    """One row for each, also unreadable ones; control characters are escaped."""
    job = office.job("images.thumbnail")
    office.set_aside(job, UnknownSchema("no [red]such[/red] \x1b[31mschema"))
    office.set_aside_bytes(b"a key", b"\x00\x01", [])
    said = office.run("list")
    assert said.code == 0, said.err
    rows = [line for line in said.out.splitlines() if "@" in line]
    assert rows[0].startswith(f"0@0       {datetime.now(UTC):%Y-%m-%d}")
    for words in (f"{office.requests}[1]@41", job.correlation_id, "images.thumbnail"):
        assert words in rows[0]
    assert r"UnknownSchema: no [red]such[/red] \x1b[31mschema" in rows[0]
    assert rows[1].split()[4:6] == ["–", "–"]
    assert "Undecodable: not for us" in rows[1]
    assert len(rows) == 2


def test_list_is_json_for_scripts(office: Office) -> None:
    """One complete object for each line, with full names and positions."""
    job = office.job()
    at_ms = ORIGINAL_MS + HOUR_MS
    office.set_aside(job, UnknownSchema("an 'ünknown' schema"), at_ms=at_ms)
    said = office.run("list", "--json")
    assert [json.loads(line) for line in said.out.splitlines()] == [
        {
            "location": f"{office.dead_letters}[0]@0",
            "dead_lettered_at": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(),
            "original": {"topic": office.requests, "partition": 1, "offset": 41},
            "correlation_id": job.correlation_id,
            "job_type": "a.job",
            "error_type": "kafka_bridge.protocol.errors.UnknownSchema",
            "error_message": "an 'ünknown' schema",
            "replayed_from": None,
        }
    ]


def test_filters_select_dead_letters(office: Office) -> None:
    """By time, type and job; --limit selects the newest, and lists the oldest of them first."""
    now_ms = int(utc_now().timestamp() * 1000)
    jobs = [office.job(kind) for kind in ("a", "b", "a", "b")]
    for hours, job in zip((30, 20, 10, 0), jobs, strict=True):
        office.set_aside(job, at_ms=now_ms - hours * HOUR_MS)
    names = {job.correlation_id: index for index, job in enumerate(jobs)}

    def listed(*filters: str) -> list[int]:
        lines = office.run("list", "--json", *filters).out.splitlines()
        return [names[json.loads(line)["correlation_id"]] for line in lines]

    moment = datetime.now(UTC) - timedelta(hours=15)
    assert listed() == [0, 1, 2, 3]
    assert listed("--since", "1d") == [1, 2, 3]
    assert listed("--since", moment.isoformat()) == [2, 3]
    assert listed("--job-type", "b") == [1, 3]
    assert listed("--job-type", "a", "--since", "1d") == [2]
    assert listed("--correlation-id", jobs[2].correlation_id) == [2]
    assert listed("--limit", "2") == [2, 3]
    assert listed("--since", "1h", "--job-type", "a") == []
    assert "match the filters" in office.run("list", "--job-type", "c").err
    assert "Only the newest 2 are shown" in office.run("list", "--limit", "2").err


def test_show_prints_the_whole_request(office: Office) -> None:
    """Headers, fields and the beginning of the payload, by either form of the position."""
    job = office.job(payload=b'{"text":"' + b"x" * 3000 + b'"}')
    place = office.set_aside(job)
    said = office.run("show", place)
    assert said.code == 0, said.err
    for words in (
        f"Dead letter {office.dead_letters}[0]@0, written ",
        f"origin      {office.requests}[1]@41",
        "RuntimeError: it went wrong",
        "  traceparent: 00-aa-bb-01",
        "  job_type: a.job",
        "payload     3,011 bytes, application/json",
        '  {"text":"xxxx',
        "… and 1,011 more bytes",
    ):
        assert words in said.out
    assert "kafka_dlt-" not in said.out
    assert office.run("show", f"{office.dead_letters}[0]@0").out == said.out


def test_show_prints_unreadable_bytes_in_hex(office: Office) -> None:
    """With the reason."""
    place = office.set_aside_bytes(b"\xff\xfe", b"\x00\x01binary", [("h", b"\xff")])
    said = office.run("show", place)
    for words in (
        "key         0xfffe",
        "  h: 0xff",
        "8 bytes, not readable: written with a schema registry",
        "000000  00 01 62 69 6e 61 72 79 ",
        "..binary",
    ):
        assert words in said.out


def test_replay_publishes_the_record_unchanged(office: Office) -> None:
    """Its bytes, key and headers, marked as a replay, without the headers of the dead letter.

    Also with --as-new: a job that is not finished does not become a second job.
    """
    job = office.job(created_at=datetime(1, 1, 1, tzinfo=UTC))
    place = office.set_aside(job)
    office.end(new_correlation_id(), JobState.SUCCEEDED)
    office.end(job.correlation_id, JobState.RUNNING)
    office.write(office.responses, job.correlation_id.encode(), b"not an event", [])
    said = office.run("replay", place, "--as-new")
    assert said.code == 0, said.err
    (sent,) = office.sent()
    assert f"[0]@0 → {sent.location} (job {job.correlation_id})" in said.out
    assert sent.key == job.correlation_id.encode()
    assert sent.value == encode(job)
    assert text_header(sent.headers, "traceparent") == "00-aa-bb-01"
    assert text_header(sent.headers, "kafka_bridge-replayed") == f"{office.dead_letters}[0]@0"
    assert not [name for name, _ in sent.headers if name.startswith("kafka_dlt-")]
    assert len(office.sent(office.dead_letters)) == 1


def test_finished_job_is_refused(office: Office) -> None:
    """The error has the first terminal event and what to do; nothing is published."""
    job = office.job()
    place = office.set_aside(job)
    office.end(job.correlation_id, JobState.FAILED)
    office.end(job.correlation_id, JobState.SUCCEEDED)
    said = office.run("replay", place)
    assert said.code == 1
    assert f"job {job.correlation_id} is finished (FAILED), so workers would skip it" in said.err
    assert "--as-new submits it under a new id" in said.err
    assert "0 of 1 replayed." in said.err
    assert office.sent() == []


def test_finished_job_is_submitted_as_new_once(office: Office) -> None:
    """With one new id, however often it is replayed; after the new job has finished, no more."""
    asked_at = utc_now() - timedelta(days=2)
    job = office.job(
        created_at=asked_at,
        expires_at=asked_at + timedelta(hours=1),
        deadline=datetime(9999, 12, 31, tzinfo=UTC),
        attributes={"a": "b"},
    )
    place = office.set_aside(job, encoding=Encoding.JSON)
    office.end(job.correlation_id, JobState.FAILED)
    said = office.run("replay", place, "--as-new")
    assert said.code == 0, said.err
    assert office.run("replay", place, place, "--as-new").code == 0
    first, second = office.sent()
    new = first.decode(JobRequest)
    assert f"as new job {new.correlation_id}" in said.out
    assert new.correlation_id != job.correlation_id
    assert new.attributes == {"a": "b", "replay_of": job.correlation_id}
    assert new.expires_at is not None
    assert new.expires_at - new.created_at == timedelta(hours=1)
    assert new.deadline == job.deadline
    assert (new.job_type, new.payload, new.task) == (job.job_type, job.payload, job.task)
    assert first.key == second.key == new.correlation_id.encode()
    assert text_header(first.headers, CORRELATION_ID) == new.correlation_id
    assert text_header(first.headers, "traceparent") == "00-aa-bb-01"
    assert [name for name, _ in first.headers].count(CORRELATION_ID) == 1
    assert detect(first.value) is Encoding.JSON
    office.end(new.correlation_id, JobState.SUCCEEDED)
    said = office.run("replay", place, "--as-new")
    assert said.code == 1
    assert f"as job {new.correlation_id}, which is finished (SUCCEEDED)" in said.err


def test_unreadable_record_is_replayed_unchanged(office: Office) -> None:
    """Byte for byte, also without key and headers: a newer worker may read it."""
    place = office.set_aside_bytes(None, b"\xc3\x01 of tomorrow", [("h", b"\xff")])
    assert office.run("replay", place).code == 0
    (sent,) = office.sent()
    assert (sent.key, sent.value) == (None, b"\xc3\x01 of tomorrow")
    assert sent.headers[0] == ("h", b"\xff")


def test_unreadable_record_of_a_finished_job_is_refused(office: Office) -> None:
    """Its task has received FAILED, and workers would skip the record."""
    job = new_correlation_id()
    headers = [(REPLY_TOPIC, office.responses.encode())]
    place = office.set_aside_bytes(job.encode(), b"\xc3\x01 of tomorrow", headers)
    office.end(job, JobState.FAILED)
    for options in ([], ["--as-new"]):
        said = office.run("replay", place, *options)
        assert said.code == 1
        assert f"job {job} is finished (FAILED)" in said.err
        assert "as it cannot be read (Avro schema with fingerprint" in said.err
    assert office.sent() == []


def test_request_too_large_for_a_dead_letter_is_replayed_from_its_topic(office: Office) -> None:
    """The dead letter has no value; the request topic still has it."""
    job = office.job(payload=b"x" * 5_000, payload_type="text/plain")
    origin = office.write(office.requests, job.correlation_id.encode(), encode(job), [])
    place = office.set_aside_bytes(job.correlation_id.encode(), None, [], origin=origin)
    gone = replace(origin, offset=41)
    other = office.set_aside_bytes(b"another key", None, [], origin=origin)
    lost = office.set_aside_bytes(job.correlation_id.encode(), None, [], origin=gone)
    words = f"not readable: too large for a dead letter, is at {origin}"
    assert words in office.run("show", place).out
    said = office.run("replay", place, other, lost)
    assert said.code == 1
    assert f"and another record is at {origin}: the topic was deleted and created again" in said.err
    lost = f"its value was too large for a dead letter, and record {gone} no longer exists"
    assert lost in said.err
    assert [each.value for each in office.sent()] == [encode(job)] * 2


def test_replay_all_asks_for_confirmation(
    office: Office, topics: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the number of records; without a yes nothing is published. Filters and --to apply."""
    jobs = [office.job(kind) for kind in ("a", "b", "a")]
    for job in jobs:
        office.set_aside(job)
    office.end(jobs[2].correlation_id, JobState.CANCELLED)
    elsewhere = topics("elsewhere", 1)
    command = ("replay", "--all", "--job-type", "a", "--to", elsewhere)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    said = office.run(*command)
    assert "Replay 1 of 2 dead letters?" in said.out
    assert said.code == 1
    assert office.sent(elsewhere) == []
    said = office.run(*command, "--yes")
    assert said.code == 1
    assert "(CANCELLED)" in said.err
    assert "1 of 2 replayed." in said.err
    assert [each.key for each in office.sent(elsewhere)] == [jobs[0].correlation_id.encode()]
    assert office.sent() == []


def test_nothing_to_replay_is_not_an_error(office: Office) -> None:
    """A script may find none; a list may be empty."""
    for command in (("list",), ("replay", "--all", "--yes")):
        said = office.run(*command)
        assert (said.code, said.out) == (0, "")
        assert said.err == f"No dead letters in {office.dead_letters}.\n"


BAD = [
    (("list", "--topic", "no.such.topic"), "topic 'no.such.topic' does not exist on Kafka"),
    (("show", "0@0", "--topic", "no.such.topic"), "topic 'no.such.topic' does not exist"),
    (("show", "0@0", "--topic", "a\x00b"), "does not exist"),
    (("show", "0@1"), "there is no record at dead-letters-"),
    (("show", "7@0"), "there is no record at dead-letters-"),
    (("show", "0@999999999999"), "`kafka-bridge dead-letters list --topic dead-letters-"),
    (("replay", "0@0", "0@1"), "there is no record at dead-letters-"),
    (("replay", "0@0", "--to", "no.such.topic"), "topic 'no.such.topic' does not exist"),
]


def test_each_missing_thing_has_its_own_error(office: Office) -> None:
    """With exit code 1; nothing is published, not even the valid records."""
    office.set_aside(office.job())
    for arguments, words in BAD:
        said = office.run(*arguments)
        assert words in said.err
        assert said.code == 1
        assert said.out == ""
    assert office.sent() == []


def test_error_for_a_position_in_an_empty_topic(office: Office) -> None:
    """It says that the topic has no records."""
    for command in ("show", "replay"):
        said = office.run(command, "0@0")
        assert said.code == 1
        assert f"topic '{office.dead_letters}' is empty: it holds no dead letters" in said.err


def test_record_that_would_become_a_dead_letter_again_is_refused(office: Office) -> None:
    """Its response topic is missing, it has no target, or the target is the dead-letter topic."""
    office.set_aside(office.job(response_topic="no.such.topic"))
    office.set_aside(office.job(response_topic="a\x00b"))
    office.write(office.dead_letters, b"k", b"v", [])
    said = office.run("replay", "--all", "--yes")
    assert said.code == 1
    words = "topic 'no.such.topic' does not exist, so it would become a dead letter again"
    assert words in said.err
    assert "its headers do not say which topic it came from: use --to TOPIC" in said.err
    assert "0 of 3 replayed." in said.err
    said = office.run("replay", "0@2", "--to", office.dead_letters)
    assert f"{office.dead_letters} is the dead-letter topic" in said.err
    assert office.sent() == []


def test_unreachable_brokers_are_an_error(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the address and what to check, and exit code 1."""
    monkeypatch.setattr(dead_letter_topic, "ANSWER_SECONDS", 0.5)
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("KAFKA_BRIDGE_BOOTSTRAP_SERVERS", address)
    said = office.run("list")
    assert said.code == 1
    assert f"no Kafka broker answered at {address}" in said.err
