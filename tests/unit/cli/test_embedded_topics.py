"""``kafka-bridge topics`` on an embedded broker, which has no topic settings."""

from __future__ import annotations

import time

from typer.testing import CliRunner, Result

from kafka_bridge.cli.app import app
from kafka_bridge.protocol.errors import TopicMisconfigured
from kafka_bridge.testing import EmbeddedBroker
from kafka_bridge.testing.brokers.topics import admin_client

SECONDS = 10
"""Far less than the 30 s that an administrator's request takes to fail there."""


def topics(command: str, broker: EmbeddedBroker, *options: str) -> Result:
    """Run ``kafka-bridge topics`` with the option for the brokers; it has to answer quickly."""
    started = time.monotonic()
    arguments = ["topics", command, "--bootstrap-servers", broker.bootstrap_servers, *options]
    result = CliRunner().invoke(app, arguments, env={"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""})
    assert time.monotonic() - started < SECONDS
    return result


def test_create_makes_the_topics_and_says_what_they_lack() -> None:
    """The topics exist afterwards; a second call changes nothing and says so."""
    with EmbeddedBroker() as broker:
        first = topics("create", broker, "--callbacks", "cb")
        second = topics("create", broker, "--requests", "other")
        found = set(admin_client(broker.bootstrap_servers).list_topics(timeout=10).topics)
    assert first.exit_code == 0, first.output
    names = ["jobs.requests", "jobs.responses", "jobs.control", "jobs.dead-letters", "cb"]
    assert first.stdout.splitlines() == [f"{name}: created" for name in names]
    assert "its topics have 4 partitions and no settings" in first.stderr
    assert second.stdout.splitlines()[:2] == [
        "other: created",
        "jobs.responses: exists, not changed",
    ]
    assert found == {*names, "other"}


def test_check_says_that_there_is_nothing_to_check() -> None:
    """The reason is the kind of broker, not a broker that does not answer."""
    with EmbeddedBroker() as broker:
        result = topics("check", broker)
        found = admin_client(broker.bootstrap_servers).list_topics(timeout=10).topics
    assert isinstance(result.exception, TopicMisconfigured)
    assert "is an embedded broker (librdkafka's mock cluster)" in str(result.exception)
    assert "There is nothing to check" in str(result.exception)
    assert not found
