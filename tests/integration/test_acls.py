"""What `topics acls` prints, on a broker that denies all else: enough, and no line too many."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from integration.gateway.callbacks.receivers import SECRET_VARIABLE, end, gateway
from integration.jobs import WAIT_SECONDS, event, request
from integration.kafka.waiters import Waiter, hand_over
from integration.worker.programs import Stage
from kafka_bridge.kafka.admin.acls import Acl, airflow_acls, operator_acls, worker_acls
from kafka_bridge.kafka.admin.diagnosis import diagnose
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.commands import cancel
from kafka_bridge.kafka.config import ENV_BOOTSTRAP, ENV_PREFIX, READER_PREFIX, KafkaConfig
from kafka_bridge.kafka.lookups.job_lookup import requests_of, terminal_states
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import AccessDenied, RemoteProtocolError
from kafka_bridge.protocol.headers import dead_letter_headers, request_headers
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import SecuredKafka

READERS = "team-a.readers."
"""How readers' groups begin here: teams with prefixed ACLs have names of their own."""
SECONDS = 10.0


@dataclass
class Team:
    """Topics and a worker's group of one team, and its users."""

    kafka: SecuredKafka
    names: TopicNames
    group: str
    unique_name: Callable[[str], str]
    owner: KafkaConfig
    folder: Path
    users: list[str] = field(default_factory=list)

    def user(self, acls: Callable[[str], Iterable[Acl]], without: tuple[str, str] | None) -> str:
        """Make a user that may do what the ACLs say, except one operation on one resource."""
        name = self.unique_name("user")
        self.kafka.add_user(name)
        self.users.append(name)
        for acl in acls(f"User:{name}"):
            granted = [each for each in acl.operations if (each, acl.name) != without]
            if granted:
                self.kafka.allow(name, acl.resource, acl.name, *granted, prefixed=acl.prefixed)
        return name

    def config(self, user: str) -> KafkaConfig:
        """Return how a user connects."""
        return KafkaConfig({**self.kafka.client(user), READER_PREFIX: READERS})

    def environ(self, user: str) -> dict[str, str]:
        """Return the environment with which programs connect as a user."""
        settings = self.kafka.client(user)
        return {
            f"{ENV_PREFIX}{name.upper().replace('.', '_')}": str(value)
            for name, value in settings.items()
            if name != "bootstrap.servers"
        } | {
            ENV_BOOTSTRAP: str(settings["bootstrap.servers"]),
            "KAFKA_BRIDGE_READER_GROUP_PREFIX": READERS,
        }


@pytest.fixture
def new_team(
    secured_kafka: SecuredKafka, unique_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[[], Team]]:
    """Give a function that makes a team with topics of its own."""
    owner = unique_name("owner")
    secured_kafka.add_user(owner)
    for resource in ("topic", "group"):
        secured_kafka.allow(owner, resource, "*", "All")
    config = KafkaConfig(secured_kafka.client(owner))
    made: list[Team] = []

    def make() -> Team:
        kinds = ("requests", "responses", "control", "dead", "callbacks")
        names = TopicNames(*(unique_name(kind) for kind in kinds))
        for name in names:
            secured_kafka.create_topic(name, 1, {"retention.ms": str(60 * 24 * 3_600_000)})
        made.append(
            Team(secured_kafka, names, unique_name("service"), unique_name, config, tmp_path)
        )
        return made[-1]

    yield make
    for team in made:
        secured_kafka.delete_topics(team.names)
        for user in team.users:
            secured_kafka.disallow_all(user)
            secured_kafka.remove_user(user)
    secured_kafka.disallow_all(owner)
    secured_kafka.remove_user(owner)


QUIET = ("Describe", READERS)
"""Without this permission everything works: it only keeps the brokers' authorizer log quiet."""


def every_permission(acls: Iterable[Acl]) -> list[tuple[str, str]]:
    """Return each operation on each resource, but the one without which everything works."""
    every = [(operation, acl.name) for acl in acls for operation in acl.operations]
    every.remove(QUIET)
    return every


# Airflow.


def airflow_does(team: Team, config: KafkaConfig) -> None:
    """Submit, look for the job again, wait for it, cancel it, and ask why nobody takes it."""
    names = team.names
    job = request("note", names.responses)
    with RecordProducer(config) as producer:
        ends = end_offsets(config, [names.requests, names.responses], SECONDS)
        key, value = job.correlation_id.encode(), encode(job, Encoding.AVRO)
        producer.publish(names.requests, key, value, request_headers(job, Encoding.AVRO))
    since = job.created_at
    assert any(requests_of(config, names.requests, job.correlation_id, since, SECONDS))
    reader = ResponseReader(config, names.responses, hand_over)
    try:
        waiter = Waiter(job.correlation_id).join(reader, ends[names.responses])
        with RecordProducer(team.owner) as producer:
            answer = encode(event(job.correlation_id), Encoding.AVRO)
            producer.publish(names.responses, key, answer, [])
        notice = waiter.next()
        if isinstance(notice, Exception):
            raise notice
    finally:
        reader.close()
    cancel(config, names.control, job.correlation_id, None, timeout=SECONDS)
    report = diagnose(config, names.requests, SECONDS)
    if not report.groups:
        raise AccessDenied(str(report))


def test_airflow_can_do_its_work_and_needs_each_permission(new_team: Callable[[], Team]) -> None:
    """Submit, wait, cancel, diagnose: all of it works, and not without each of its permissions."""
    team = new_team()
    with RecordProducer(team.owner) as producer:
        producer.publish(team.names.requests, b"k", b"v", [])
    commit_as(team)

    def acls(user: str) -> Iterable[Acl]:
        return airflow_acls(team.names, user, team.group, READERS)

    airflow_does(team, team.config(team.user(acls, None)))
    airflow_does(team, team.config(team.user(acls, QUIET)))
    for permission in every_permission(acls("User:any")):
        config = team.config(team.user(acls, permission))
        with pytest.raises(AccessDenied) as refused:
            airflow_does(team, config)
        if permission == ("Describe", team.group):
            assert (
                "no consumer group that this client may see reads it, but groups that it may not "
                "describe are not shown to it"
            ) in str(refused.value)


def commit_as(team: Team) -> None:
    """Have the team's group commit an offset of the request topic."""
    import confluent_kafka as ck

    consumer = ck.Consumer(team.owner.worker(team.group))
    position = ck.TopicPartition(team.names.requests, 0, 1)
    consumer.commit(offsets=[position], asynchronous=False)
    consumer.close()


# Workers.


def test_worker_can_do_its_work_and_needs_each_permission(new_team: Callable[[], Team]) -> None:
    """With all permissions, a job runs and junk is dead-lettered; with one less, not both."""
    whole = worker_acls(TopicNames("q", "a", "c", "d"), "User:any", "g", READERS)
    with contextlib.ExitStack() as stack:
        running = []
        for number, permission in enumerate([None, QUIET, *every_permission(whole)]):
            running.append(stack.enter_context(_working(new_team(), permission, number)))
        for each in running[:2]:
            _until(each.has_done_its_work, f"without {each.permission} it works:\n{each.said()}")
        lacks = "lacks a permission: Describe on group team-a.readers.*"
        _until(lambda: lacks in running[1].said(), "it reports what is missing")
        assert "permission" not in running[0].said()
        for each in running[2:]:
            _until(each.is_refused, f"without {each.permission} it is refused:\n{each.said()}")
            assert not each.has_done_its_work(), f"{each.permission} is not needed"


@dataclass
class _Working:
    team: Team
    stage: Stage
    job: str
    permission: tuple[str, str] | None

    def said(self) -> str:
        return self.stage.programs[0].said

    def has_done_its_work(self) -> bool:
        names, owner = self.team.names, self.team.owner
        letters = end_offsets(owner, [names.dead_letters], WAIT_SECONDS)[names.dead_letters]
        found = terminal_states(owner, names.responses, [self.job], None, WAIT_SECONDS)
        return sum(letters) > 0 and found.get(self.job) is JobState.SUCCEEDED

    def is_refused(self) -> bool:
        told = [line for line in self.said().splitlines() if "lacks a permission" not in line]
        return any(re.search("(?i)refused access|authorization failed", line) for line in told)


@contextlib.contextmanager
def _working(team: Team, permission: tuple[str, str] | None, number: int) -> Iterator[_Working]:
    """Run a worker of a team, without that permission, with a job and an unreadable request."""
    names = team.names
    placeholders = dict(zip("qacd", names, strict=False)) | {"g": team.group}
    without = permission and (permission[0], placeholders.get(permission[1], permission[1]))
    four = TopicNames(names.requests, names.responses, names.control, names.dead_letters)
    user = team.user(lambda name: worker_acls(four, name, team.group, READERS), without)
    folder = team.folder / str(number)
    folder.mkdir()
    with RecordProducer(team.owner) as producer:
        stage = Stage(
            team.owner,
            producer,
            names.requests,
            names.responses,
            names.dead_letters,
            names.control,
            team.group,
            folder,
        )
        job = stage.request("note")
        older = encode(event(new_correlation_id()), Encoding.AVRO)
        producer.publish(names.responses, b"older", older, [])
        producer.publish(names.requests, b"junk", b"junk", [])
        stage.publish(job)
        variables = team.environ(user) | {"KAFKA_BRIDGE_RESPONSE_TOPIC": names.responses}
        stage.start(ready=False, **variables)
        try:
            yield _Working(team, stage, job.correlation_id, permission)
        finally:
            stage.close()


def _until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.1)


def test_gateway_needs_both_permissions_on_its_callbacks(
    new_team: Callable[[], Team],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A gateway that is called back stores what it is told, and reads the topic."""
    team = new_team()
    monkeypatch.setenv(SECRET_VARIABLE, "what the gateways of a test share")
    topic = team.names.callbacks
    assert topic is not None

    def acls(user: str) -> Iterable[Acl]:
        return worker_acls(team.names, user, team.group, READERS)

    def answers(user: str) -> int:
        with gateway(team.config(user), topic) as running:
            url = running.url(new_correlation_id())
            return httpx.post(url, json=end(), timeout=30).status_code

    assert answers(team.user(acls, None)) < 300
    reads_not = team.config(team.user(acls, ("Read", topic)))
    refused = f"refused access while reading topic '{topic}'"
    with pytest.raises(AccessDenied, match=re.escape(refused)), gateway(reads_not, topic):
        _until(lambda: refused in caplog.text, "the gateway reports it")
    assert answers(team.user(acls, ("Write", topic))) >= 500


# Operators.


def command_line(team: Team, user: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command line as a user, within this process; return its exit code."""
    from kafka_bridge.cli import main

    for name, value in team.environ(user).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["kafka-bridge", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def operator_can(team: Team, user: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether a user can check topics, replay dead letters, list jobs and cancel one."""
    names = team.names
    topics = ("--requests", names.requests, "--responses", names.responses)
    more = ("--control", names.control, "--dead-letters", names.dead_letters)
    others = ("--callbacks", str(names.callbacks), "--replication", "1")
    letters = ("--topic", names.dead_letters)
    commands = [
        ("topics", "check", *topics, *more, *others),
        ("dead-letters", "list", *letters),
        ("dead-letters", "replay", "--all", "--yes", *letters),
        ("jobs", "list", *topics[1:], *more[:2]),
        ("jobs", "cancel", new_correlation_id(), "--control", names.control),
    ]
    return all(command_line(team, user, monkeypatch, *words) == 0 for words in commands)


def test_operators_can_do_their_work_and_need_each_permission(
    new_team: Callable[[], Team],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The commands topics check, dead-letters and jobs: without a permission, one fails."""
    team = new_team()
    names = team.names
    with RecordProducer(team.owner) as producer:
        job = request("note", names.responses)
        key, value = job.correlation_id.encode(), encode(job, Encoding.AVRO)
        original = producer.publish(names.requests, key, value, [])
        wrong = RemoteProtocolError("too many deliveries", original)
        # Too large to be set aside whole: its value is read where it came from.
        producer.publish(names.dead_letters, key, None, dead_letter_headers(original, 0, wrong))

    def acls(user: str) -> Iterable[Acl]:
        return operator_acls(names, user, READERS)

    for permission in (None, QUIET):
        user = team.user(acls, permission)
        assert operator_can(team, user, monkeypatch), capsys.readouterr().err
    for permission in every_permission(acls("User:any")):
        user = team.user(acls, permission)
        assert not operator_can(team, user, monkeypatch), f"{permission} is not needed"


# As a shell reads them.

SHIM = """#!{python}
import json, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
"""


def test_printed_script_runs_in_a_shell_as_it_stands(tmp_path: Path) -> None:
    """Bash runs what is printed: nothing but kafka-acls is called, each word as it was given."""
    hostile = "x' ; touch hurt; '$(touch hurt)`touch hurt`"
    program, log = tmp_path / "kafka-acls", tmp_path / "log"
    program.write_text(SHIM.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    printed = subprocess.run(
        [
            *(sys.executable, "-m", "kafka_bridge", "topics", "acls"),
            *("--worker", f"User:{hostile}", "--group", hostile, "--requests", hostile),
        ],
        env={**os.environ, ENV_BOOTSTRAP: "k:9092"},
        capture_output=True,
        text=True,
        check=True,
    )
    shell = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-eu"],
        input=printed.stdout,
        cwd=tmp_path,
        env=shell,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not (tmp_path / "hurt").exists(), done.stderr
    called = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(called) == len(printed.stdout.splitlines()) - 3  # without the three headings
    assert all(words[:2] == ["--bootstrap-server", "k:9092"] for words in called)
    assert any(f"User:{hostile}" in words and hostile in words for words in called)
