"""Errors of refused credentials name the cause and what to set, within seconds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit.submission import Submission
from kafka_bridge.airflow.submit.submitter import Submitter
from kafka_bridge.kafka.admin.topics import broker_count
from kafka_bridge.kafka.commands import cancel
from kafka_bridge.kafka.config import ENV_BOOTSTRAP, ENV_PREFIX, KafkaConfig
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import AccessDenied, DeliveryFailed
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.testing import CredentialFault, KafkaCluster, SecuredKafka

from ..jobs import request
from .waiters import Waiter, hand_over

TOPIC = "jobs.responses"
SECONDS = 12.0
"""How soon the fault must be named: it takes one or two, more where five look at a time on a busy
machine, and 30 where nobody looks."""
PROGRAMS_SECONDS = 180.0
"""How long eight programs that start together may take to end: a minute is too short for a machine
with many other processes."""
Fault = CredentialFault
WORDS = {
    Fault.WRONG_PASSWORD: r"wrong password, or unknown user 'alice'.*'sasl\.password'",
    Fault.UNKNOWN_USER: r"wrong password, or unknown user 'nobody-alice'.*'sasl\.username'",
    Fault.WRONG_MECHANISM: r"wrong mechanism: the broker does not offer PLAIN, but SCRAM-SHA-256, "
    r"SCRAM-SHA-512\. Set 'sasl\.mechanism'",
    Fault.NO_SASL: r"no user and password: the listener at .* expects SASL \(SCRAM-SHA-256, "
    r"SCRAM-SHA-512\).* Set 'security\.protocol' to SASL_SSL",
    Fault.PLAINTEXT: r"plaintext against TLS: 'security\.protocol' is PLAINTEXT.*to SASL_SSL and "
    r"'ssl\.ca\.location'",
    Fault.SASL_PLAINTEXT: r"plaintext against TLS: 'security\.protocol' is SASL_PLAINTEXT",
    Fault.UNKNOWN_CA: r"unknown CA: .*self.signed certificate.*Set 'ssl\.ca\.location'",
    Fault.WRONG_HOST_NAME: r"Hostname mismatch, .*'localhost'\. Connect by a name that is in it",
    Fault.EXPIRED_BROKER_CERTIFICATE: r"the broker's certificate .*certificate has expired\. It "
    r"has to be renewed on the broker",
    Fault.NO_CLIENT_CERTIFICATE: r"no client certificate: .*Set 'ssl\.certificate\.location'",
    Fault.UNTRUSTED_CLIENT_CERTIFICATE: r"unknown client certificate: the broker does not trust "
    r".*alice\.pem.*signed by a CA in the broker's trust store",
    Fault.EXPIRED_CLIENT_CERTIFICATE: r"client's own certificate was refused: certificate has "
    r"expired.*Have a new one issued",
}


@pytest.fixture(scope="module")
def broker(secured_kafka: SecuredKafka) -> Iterator[SecuredKafka]:
    """Give the secured broker, with a user."""
    secured_kafka.add_user("alice", "a-secret-word")
    yield secured_kafka
    secured_kafka.remove_user("alice")


def submits(config: KafkaConfig) -> None:
    """Submit a job as an operator's task does; it is large, so its topic is described first."""
    payload = {"text": "x" * 60_000}
    submitter = Submitter(config, Encoding.AVRO, Reply.EVENTS, 30.0)
    submitter.submit(request("t", TOPIC, payload), TOPIC, submission)


def submission(ends: list[int]) -> Submission:
    """Return what the request says of its submission."""
    return Submission(
        attempt=1,
        try_number=1,
        max_tries=1,
        run_began=0,
        created_at=0,
        ends=ends,
        response_topic=TOPIC,
    )


def publishes(config: KafkaConfig) -> None:
    """Publish a record without any other request, as `jobs cancel` does."""
    cancel(config, TOPIC, new_correlation_id(), None, timeout=30.0)


def scans(config: KafkaConfig) -> None:
    """Read a topic to its end, as `dead-letters list` does."""
    list(scan(config, TOPIC, (), timeout=30.0))


def reads(config: KafkaConfig) -> None:
    """Wait for a job, as the triggerer does."""
    reader = ResponseReader(config, TOPIC, hand_over)
    try:
        told = Waiter().join(reader, [0]).next()
    finally:
        reader.close()
    assert isinstance(told, Exception)
    raise told


PATHS = [submits, publishes, scans, reads, broker_count]


def words_of(path: Callable[[KafkaConfig], object], config: KafkaConfig) -> tuple[str, float]:
    """Return what a path raises and how many seconds it took."""
    begin = time.monotonic()
    with pytest.raises(AccessDenied) as refused:
        path(config)
    return str(refused.value), time.monotonic() - begin


@pytest.mark.parametrize("fault", Fault)
def test_each_path_names_the_fault_and_what_to_set(broker: SecuredKafka, fault: Fault) -> None:
    """Operator, command line, scans and reader raise the same error within 5 s."""
    config = KafkaConfig(broker.faulty_client(fault, "alice"))
    with ThreadPoolExecutor(len(PATHS)) as pool:
        for words, seconds in pool.map(lambda path: words_of(path, config), PATHS):
            assert re.search(WORDS[fault], words), words
            assert f"Kafka at {config.bootstrap_servers} refused this client while" in words
            assert "no Kafka broker answered" not in words
            assert "a-secret-word" not in words
            assert "not-the-password" not in words
            assert seconds < SECONDS


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"},
            "TLS against plaintext: .* Set 'security.protocol' to PLAINTEXT",
        ),
        (
            {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"},
            "SASL where none is expected: .* has no SASL. Set 'security.protocol' to PLAINTEXT",
        ),
    ],
)
def test_credentials_for_an_open_listener_are_named_too(
    broker: SecuredKafka, settings: dict[str, Any], words: str
) -> None:
    """TLS or SASL on a listener without it: librdkafka's own error does not say so."""
    login = {"sasl.username": "alice", "sasl.password": "a-secret-word"}
    config = KafkaConfig({"bootstrap.servers": broker._admin_servers, **login, **settings})
    found, seconds = words_of(broker_count, config)
    assert re.search(words, found), found
    assert seconds < SECONDS


def environment(client: dict[str, Any]) -> dict[str, str]:
    """Return environment variables that set these properties."""
    named = {
        f"{ENV_PREFIX}{name.upper().replace('.', '_')}": str(value)
        for name, value in client.items()
        if name != "bootstrap.servers"
    }
    return {**os.environ, **named, ENV_BOOTSTRAP: client["bootstrap.servers"], "COLUMNS": "300"}


COMMANDS = {
    "worker": ["worker", "run", "services:worker", "--app-dir", "tests/integration/worker"],
    "topics check": ["topics", "check"],
    "dead-letters": ["dead-letters", "list"],
}


TOLD_BY_PROGRAMS = [
    Fault.WRONG_PASSWORD,
    Fault.UNKNOWN_USER,
    Fault.WRONG_MECHANISM,
    Fault.PLAINTEXT,
    Fault.UNKNOWN_CA,
    Fault.NO_CLIENT_CERTIFICATE,
    Fault.UNTRUSTED_CLIENT_CERTIFICATE,
    Fault.EXPIRED_CLIENT_CERTIFICATE,
]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_programs_end_with_the_fault_as_one_line(broker: SecuredKafka, command: list[str]) -> None:
    """A worker at its start, and the command line, with exit code 1."""
    topics = {
        f"KAFKA_BRIDGE_{name}": f"some.{name.lower()}"
        for name in ("REQUEST_TOPIC", "CONTROL_TOPIC", "GROUP_ID")
    }
    faults = [Fault.WRONG_PASSWORD] if command[0] == "dead-letters" else TOLD_BY_PROGRAMS
    running = {
        fault: subprocess.Popen(
            [sys.executable, "-m", "kafka_bridge", *command],
            env=environment(broker.faulty_client(fault, "alice")) | topics,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for fault in faults
    }
    try:
        for fault, process in running.items():
            _, error = process.communicate(timeout=PROGRAMS_SECONDS)
            assert process.returncode == 1, error
            assert "Traceback" not in error
            (line,) = [each for each in error.splitlines() if each.startswith("kafka-bridge: ")]
            assert re.search(WORDS[fault], line), line
    finally:
        for process in running.values():
            process.kill()


@pytest.mark.long
def test_too_few_in_sync_replicas_are_named(
    kafka_cluster: KafkaCluster, unique_name: Callable[[str], str]
) -> None:
    """Below min.insync.replicas the error has the numbers."""
    topic = unique_name("topic")
    kafka_cluster.create_topic(topic, 1, {"min.insync.replicas": "3"})
    config = KafkaConfig({"bootstrap.servers": kafka_cluster.bootstrap_servers})
    with RecordProducer(config, delivery_timeout=8.0) as producer:
        producer.publish(topic, b"key", b"value", [])
        kafka_cluster.stop(kafka_cluster.numbers[-1])  # orderly: it leaves the in-sync replicas
        # More than one, so that they fail within one call of librdkafka's.
        sent = [producer.send(topic, b"key", b"value", []) for _ in range(3)]
        for each in sent:
            with pytest.raises(DeliveryFailed) as refused:
                each.result()
            assert (
                "not enough in-sync replicas: partition 0 has 2 of 3 in sync, and the topic's "
                "min.insync.replicas is 3"
            ) in str(refused.value)
            assert "no Kafka broker answered" not in str(refused.value)
