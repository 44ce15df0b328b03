"""The ACLs that each side needs, as lines to run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import pytest

from kafka_bridge.kafka.acls import Acl, airflow_acls, worker_acls
from kafka_bridge.kafka.config import GROUP_PREFIX, KafkaConfig
from kafka_bridge.kafka.topics import TopicNames

NAMES = TopicNames("q", "a", "c", "d")


def granted(acls: Iterable[Acl]) -> set[tuple[str, str, str]]:
    """Return (operation, kind of resource, name) of all."""
    return {(each, acl.resource, acl.name) for acl in acls for each in acl.operations}


@pytest.mark.parametrize(
    ("acl", "line"),
    [
        (
            Acl("User:me", ("Read", "Describe"), "topic", "jobs.requests", "why"),
            "kafka-acls --add --allow-principal 'User:me' --operation Read --operation Describe "
            "--topic 'jobs.requests'",
        ),
        (
            Acl("User:CN=a b", ("Read",), "group", "kafka-bridge-", "why", prefixed=True),
            "kafka-acls --add --allow-principal 'User:CN=a b' --operation Read "
            "--group 'kafka-bridge-' --resource-pattern-type prefixed",
        ),
    ],
)
def test_line_is_what_kafka_acls_takes(acl: Acl, line: str) -> None:
    """A line can be pasted into a shell, with the principal as one word."""
    assert acl.command() == line
    assert acl.principal in shlex.split(line)


def test_airflow_may_ask_wait_and_cancel_and_nothing_more() -> None:
    """Airflow needs no right on the dead letters, and none to join the workers' group."""
    assert granted(airflow_acls(NAMES, "User:airflow", "service")) == {
        ("Write", "topic", "q"),
        ("Read", "topic", "q"),
        ("Describe", "topic", "q"),
        ("Read", "topic", "a"),
        ("Describe", "topic", "a"),
        ("Write", "topic", "c"),
        ("Describe", "topic", "c"),
        ("Read", "group", GROUP_PREFIX),
        ("Describe", "group", "service"),
    }


def test_workers_may_take_and_answer_and_nothing_more() -> None:
    """A worker can neither ask for jobs nor cancel them."""
    assert granted(worker_acls(NAMES, "User:worker", "service")) == {
        ("Read", "topic", "q"),
        ("Describe", "topic", "q"),
        ("Write", "topic", "a"),
        ("Read", "topic", "a"),
        ("Describe", "topic", "a"),
        ("Read", "topic", "c"),
        ("Describe", "topic", "c"),
        ("Write", "topic", "d"),
        ("Describe", "topic", "d"),
        ("Read", "group", "service"),
        ("Read", "group", GROUP_PREFIX),
    }


def test_gateways_may_keep_and_hear_callbacks() -> None:
    """Where a gateway's topic is named, its gateways write and read it; Airflow does not."""
    with_callbacks = TopicNames("q", "a", "c", "d", callbacks="cb")
    more = granted(worker_acls(with_callbacks, "User:gw", "g")) - granted(
        worker_acls(NAMES, "User:gw", "g")
    )
    assert more == {(each, "topic", "cb") for each in ("Write", "Read", "Describe")}
    assert granted(airflow_acls(with_callbacks, "User:af", "g")) == granted(
        airflow_acls(NAMES, "User:af", "g")
    )


@pytest.mark.parametrize("side", [airflow_acls, worker_acls])
def test_readers_groups_are_covered_by_their_prefix(side) -> None:  # type: ignore[no-untyped-def]
    """The one prefixed line covers every group that a reader makes for itself."""
    (prefixed,) = [acl for acl in side(NAMES, "User:x", "service") if acl.prefixed]
    group = KafkaConfig({"bootstrap.servers": "b:1"}).reader("responses")["group.id"]
    assert group.startswith(prefixed.name)
