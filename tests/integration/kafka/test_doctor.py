"""``kafka-bridge doctor worker`` as a program, on real brokers, one of which denies by default."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import confluent_kafka as ck
import pytest

from integration.jobs import config_of
from integration.kafka.test_diagnosis import fill, member
from kafka_bridge.kafka.admin.acls import worker_acls
from kafka_bridge.kafka.admin.topics import Copies, TopicNames, create_topics, plan_topics
from kafka_bridge.kafka.config import ENV_BOOTSTRAP, ENV_PREFIX
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.testing import Broker, CredentialFault, SecuredKafka

if TYPE_CHECKING:
    from conftest import TopicFactory

SECRET = "a-secret-word-of-alice"
PLENTY = ("--timeout", "120")
"""A busy machine is no fault."""


@dataclass
class Result:
    """What the command printed: its findings by check, and its exit code."""

    code: int
    output: str
    findings: list[dict[str, str]]

    def of(self, check: str, level: str) -> list[str]:
        """Return the texts and the advice of the findings of one check with one level."""
        return [
            f"{each['text']} | {each['advice']}"
            for each in self.findings
            if (each["check"], each["level"]) == (check, level)
        ]

    def texts(self, level: str) -> list[str]:
        """Return all findings of one level, with their checks."""
        return [f"{x['check']}: {x['text']}" for x in self.findings if x["level"] == level]


def doctor(client: Mapping[str, Any], environ: Mapping[str, str], *options: str) -> Result:
    """Run ``kafka-bridge doctor worker`` with a client's properties as variables."""
    properties = {
        f"{ENV_PREFIX}{name.upper().replace('.', '_')}": str(value)
        for name, value in client.items()
        if name != "bootstrap.servers"
    }
    done = subprocess.run(
        [sys.executable, "-m", "kafka_bridge", "doctor", "worker", "--json", *PLENTY, *options],
        env={**os.environ, **properties, ENV_BOOTSTRAP: client["bootstrap.servers"], **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout + done.stderr, json.loads(done.stdout)["findings"])


def variables(names: TopicNames, group: str) -> dict[str, str]:
    """Return the variables of a worker with these topics."""
    return {
        "KAFKA_BRIDGE_REQUEST_TOPIC": names.requests,
        "KAFKA_BRIDGE_RESPONSE_TOPIC": names.responses,
        "KAFKA_BRIDGE_CONTROL_TOPIC": names.control,
        "KAFKA_BRIDGE_DEAD_LETTER_TOPIC": names.dead_letters,
        "KAFKA_BRIDGE_GROUP_ID": group,
    }


@pytest.fixture
def names(real_broker: Broker, unique_name: Callable[[str], str]) -> Iterator[TopicNames]:
    """Give four topics as `topics create` makes them, gone after the test."""
    names = TopicNames(*(unique_name(kind) for kind in ("q", "a", "c", "d")))
    config = config_of(real_broker.bootstrap_servers)
    create_topics(config, plan_topics(names, copies=Copies(1, 1)))
    yield names
    real_broker.delete_topics(names)


def test_healthy_side_has_no_finding_and_nothing_is_changed(
    real_broker: Broker, names: TopicNames, unique_name: Callable[[str], str]
) -> None:
    """A group with a member, all topics as created: exit code 0, and no record was written."""
    group, servers = unique_name("group"), real_broker.bootstrap_servers
    fill(real_broker, names.requests, 3)
    before = end_offsets(config_of(servers), names, 30)
    with member(real_broker, names.requests, group):
        result = doctor({"bootstrap.servers": servers}, variables(names, group))
    assert result.texts("error") == []
    assert result.texts("warning") == []
    assert result.code == 0
    assert result.of("consumers", "ok")[0].startswith(f"'{group}' (1 member, has committed nothing")
    (topic,) = result.of(f"topic {names.responses}", "ok")
    assert topic.startswith("6 partitions, 1 replica, kept 15 days, cleanup.policy delete, ")
    assert "compression.type uncompressed, timestamps CreateTime" in topic
    assert re.match(r"Kafka \d\.\d", result.of("broker version", "ok")[0])
    assert result.of("permissions", "ok") == ["none is missing, as far as the brokers report | "]
    assert result.of("clocks", "ok")[0].startswith("no record is dated in the future. Kafka does")
    assert end_offsets(config_of(servers), names, 30) == before


def test_topics_without_a_worker_and_without_records_are_no_error(
    real_broker: Broker, names: TopicNames
) -> None:
    """A worker that is not started yet: the missing group is a warning."""
    client = {"bootstrap.servers": real_broker.bootstrap_servers}
    result = doctor(client, variables(names, "no-such-group"))
    assert result.code == 0
    (text,) = result.of("consumers", "warning")
    assert "but no consumer group reads it. Start the service's workers" in text
    assert "the topics have no record" in result.of("clocks", "ok")[0]


def test_missing_topic_and_short_retention_are_errors(
    real_broker: Broker, names: TopicNames, topics: TopicFactory, unique_name: Callable[[str], str]
) -> None:
    """Each with what to do; the check of one topic does not end that of another."""
    short = topics("short", 1, {"retention.ms": "3600000"})
    missing = unique_name("missing")
    environ = {
        **variables(names, "g"),
        "KAFKA_BRIDGE_CONTROL_TOPIC": missing,
        "KAFKA_BRIDGE_RESPONSE_TOPIC": short,
    }
    client = {"bootstrap.servers": real_broker.bootstrap_servers}
    result = doctor(client, environ)
    assert result.code == 1
    (text,) = result.of(f"topic {missing}", "error")
    assert "it does not exist: run `kafka-bridge topics create`" in text
    (text,) = result.of(f"topic {short}", "error")
    assert text.startswith("retention.ms is 3600000 (1 hour), must be at least 1296000000 (15 days")
    assert f"--alter --topic {short} --add-config retention.ms=1296000000" in text
    assert "say so with --longest-job and --longest-wait" in text
    assert result.of(f"topic {names.requests}", "ok")
    brief = doctor(client, {**environ, **variables(names, "g")}, "--longest-job", "1h")
    assert brief.code == 0


def test_two_groups_on_one_request_topic_are_reported(
    real_broker: Broker, names: TopicNames, unique_name: Callable[[str], str]
) -> None:
    """Both would receive each job."""
    first, second = unique_name("group"), unique_name("group")
    with (
        member(real_broker, names.requests, first),
        member(real_broker, names.requests, second),
    ):
        client = {"bootstrap.servers": real_broker.bootstrap_servers}
        result = doctor(client, variables(names, first))
    (text,) = result.of("consumers", "warning")
    assert text.startswith(f"2 groups have members on topic '{names.requests}': each group")


def test_record_from_the_future_shows_a_wrong_clock(real_broker: Broker, names: TopicNames) -> None:
    """Nothing is written to find this out."""
    producer = ck.Producer({"bootstrap.servers": real_broker.bootstrap_servers})
    ahead = int((time.time() + 1800) * 1000)
    producer.produce(names.responses, b"x", partition=3, timestamp=ahead)
    assert producer.flush(60) == 0
    client = {"bootstrap.servers": real_broker.bootstrap_servers}
    result = doctor(client, variables(names, "g"))
    (text,) = result.of("clocks", "error")
    assert f"the newest record of topic '{names.responses}' is dated 1,7" in text
    assert "Synchronise the clocks" in text


def test_unreachable_broker_is_one_error(unique_name: Callable[[str], str]) -> None:
    """Everything that needs a broker is one line."""
    result = doctor({"bootstrap.servers": "127.0.0.1:9"}, {"KAFKA_BRIDGE_GROUP_ID": "g"})
    assert result.code == 1
    assert result.texts("error") == ["bootstrap servers: 127.0.0.1:9: Connection refused"]
    assert result.texts("warning") == [
        "Kafka: topics, permissions, consumers and clocks were not checked, because no broker "
        "answered this client"
    ]


@pytest.fixture
def secured(
    secured_kafka: SecuredKafka, unique_name: Callable[[str], str]
) -> Iterator[tuple[str, TopicNames]]:
    """Give a user without permissions, and four topics on the broker that denies by default."""
    user = unique_name("alice")
    secured_kafka.add_user(user, SECRET)
    names = TopicNames(*(unique_name(kind) for kind in ("q", "a", "c", "d")))
    for name in names:
        secured_kafka.create_topic(name, 1)
    yield user, names
    secured_kafka.delete_topics(names)
    secured_kafka.remove_user(user)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (CredentialFault.WRONG_PASSWORD, "wrong password, or unknown user"),
        (CredentialFault.NO_SASL, "no user and password: the listener at"),
        (CredentialFault.PLAINTEXT, "plaintext against TLS"),
        (CredentialFault.UNKNOWN_CA, "unknown CA"),
    ],
)
def test_refused_client_is_explained(
    secured_kafka: SecuredKafka,
    secured: tuple[str, TopicNames],
    fault: CredentialFault,
    words: str,
) -> None:
    """The connection's finding names the fault and what to set; no secret is printed."""
    user, names = secured
    result = doctor(secured_kafka.faulty_client(fault, user), variables(names, "g"))
    assert result.code == 1
    (text,) = result.of("connection", "error")
    assert words in text
    assert len(result.texts("error")) == 1
    assert SECRET not in result.output
    assert "not-the-password" not in result.output


def test_missing_permissions_are_errors_with_the_command_that_grants_them(
    secured_kafka: SecuredKafka, secured: tuple[str, TopicNames], unique_name: Callable[[str], str]
) -> None:
    """First without any, then with those of a worker: then only the settings are not seen."""
    user, names = secured
    group = unique_name("service")
    environ = variables(names, group)
    client = secured_kafka.client(user)
    result = doctor(client, environ)
    assert result.code == 1
    refused = result.of(f"topic {names.requests}", "error")
    assert len(refused) == 1
    lacks = result.of("permissions", "error")
    assert len(lacks) == 5, lacks
    (text,) = [each for each in lacks if f"Write and Read on topic {names.responses}" in each]
    assert f"--allow-principal User:{user} --operation Write --operation Read" in text
    (text,) = result.of("permissions", "warning")
    assert "lacks Describe on group kafka-bridge-*" in text
    assert SECRET not in result.output
    for acl in worker_acls(names, f"User:{user}", group):
        secured_kafka.allow(user, acl.resource, acl.name, *acl.operations, prefixed=acl.prefixed)
    result = doctor(client, environ)
    assert result.texts("error") == []
    assert result.code == 0
    assert result.of("broker version", "ok")[0].startswith("Kafka 4.")  # before a login, over TLS
    assert result.of("permissions", "ok")
    for name in names:
        (text,) = result.of(f"topic {name}", "warning")
        assert text.startswith("it exists, with 1 partition; this client may not see its settings")


def test_lines_in_a_pipe_begin_with_words(real_broker: Broker, names: TopicNames) -> None:
    """A person, or grep, finds the errors; the last line counts them."""
    done = subprocess.run(
        [sys.executable, "-m", "kafka_bridge", "doctor", "worker", *PLENTY],
        env={
            **os.environ,
            **variables(names, "g"),
            "KAFKA_BRIDGE_CONTROL_TOPIC": "no.such.topic",
            ENV_BOOTSTRAP: real_broker.bootstrap_servers,
            "PYTHONIOENCODING": "ascii",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    *lines, last = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert {line.split()[0] for line in lines} == {"ok", "warning", "error"}
    assert [line for line in lines if line.startswith("error   topic no.such.topic: it does not")]
    assert last == "1 error, 1 warning."
