"""The ACLs that each side needs, as lines to run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import pytest

from kafka_bridge.kafka.admin.acls import Acl, airflow_acls, operator_acls, worker_acls
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import GROUP_PREFIX, KafkaConfig

NAMES = TopicNames("q", "a", "c", "d")


def granted(acls: Iterable[Acl]) -> set[tuple[str, str, str]]:
    """Return (operation, kind of resource, name) of all."""
    return {(each, acl.resource, acl.name) for acl in acls for each in acl.operations}


HOSTILE = ["x' ; id; '", "$(id)", "a b", "`id`", "x\nid", '"; id; "', "--add", "*", "#"]


@pytest.mark.parametrize(
    ("acl", "line"),
    [
        (
            Acl("User:me", ("Read", "Describe"), "topic", "jobs.requests", "why"),
            "kafka-acls --bootstrap-server k:9092 --add --allow-principal User:me --operation Read "
            "--operation Describe --topic jobs.requests",
        ),
        (
            Acl("User:CN=a b", ("Describe",), "group", "kafka-bridge-", "why", prefixed=True),
            "kafka-acls --bootstrap-server k:9092 --add --allow-principal 'User:CN=a b' "
            "--operation Describe --group kafka-bridge- --resource-pattern-type prefixed",
        ),
    ],
)
def test_command_is_accepted_by_kafka_acls(acl: Acl, line: str) -> None:
    """A line can be pasted into a shell, with the principal as one word."""
    assert acl.command("k:9092") == line


def test_command_passes_an_administrators_properties() -> None:
    """On a secured broker kafka-acls itself needs credentials: a file of its own."""
    line = Acl("User:me", ("Read",), "topic", "t", "why").command("k:9092", "my admin.properties")
    assert "--bootstrap-server k:9092 --command-config 'my admin.properties' --add" in line


@pytest.mark.parametrize("text", HOSTILE)
def test_names_in_a_command_are_quoted_for_the_shell(text: str) -> None:
    """Whatever stands in a name, a shell takes it for one word."""
    line = Acl(f"User:{text}", ("Read",), "group", text, "why").command(text, text)
    words = ["--add", "--allow-principal", f"User:{text}", "--operation", "Read", "--group", text]
    start = ["kafka-acls", "--bootstrap-server", text, "--command-config", text]
    assert shlex.split(line) == start + words


def test_airflow_may_submit_wait_and_cancel_only() -> None:
    """Airflow needs no permission on the dead letters, and none to join the workers' group."""
    assert granted(airflow_acls(NAMES, "User:airflow", "service")) == {
        ("Write", "topic", "q"),
        ("Read", "topic", "q"),
        ("Read", "topic", "a"),
        ("Write", "topic", "c"),
        ("Describe", "group", GROUP_PREFIX),
        ("Describe", "group", "service"),
    }


def test_workers_may_consume_requests_and_publish_events_only() -> None:
    """A worker can neither ask for jobs nor cancel them."""
    assert granted(worker_acls(NAMES, "User:worker", "service")) == {
        ("Read", "topic", "q"),
        ("Write", "topic", "a"),
        ("Read", "topic", "a"),
        ("Read", "topic", "c"),
        ("Write", "topic", "d"),
        ("Read", "group", "service"),
        ("Describe", "group", GROUP_PREFIX),
    }


def test_operators_may_check_replay_and_cancel_only() -> None:
    """The command line cannot take jobs nor answer for a worker."""
    assert granted(operator_acls(NAMES, "User:me")) == {
        *(("DescribeConfigs", "topic", name) for name in NAMES),
        ("Read", "topic", "q"),
        ("Write", "topic", "q"),
        ("Read", "topic", "a"),
        ("Read", "topic", "c"),
        ("Write", "topic", "c"),
        ("Read", "topic", "d"),
        ("Describe", "group", GROUP_PREFIX),
    }


def test_gateways_may_write_and_read_callbacks() -> None:
    """Where a gateway's topic is named, its gateways write and read it; Airflow does not."""
    with_callbacks = TopicNames("q", "a", "c", "d", callbacks="cb")
    more = granted(worker_acls(with_callbacks, "User:gw", "g")) - granted(
        worker_acls(NAMES, "User:gw", "g")
    )
    assert more == {(each, "topic", "cb") for each in ("Write", "Read")}
    assert granted(airflow_acls(with_callbacks, "User:af", "g")) == granted(
        airflow_acls(NAMES, "User:af", "g")
    )


@pytest.mark.parametrize("side", [airflow_acls, worker_acls])
@pytest.mark.parametrize("settings", [{}, {"reader.group.prefix": "team-a."}])
def test_readers_groups_are_covered_by_their_prefix(side, settings) -> None:  # type: ignore[no-untyped-def]
    """The one prefixed line covers every group that a reader makes for itself."""
    config = KafkaConfig({"bootstrap.servers": "b:1", **settings})
    (prefixed,) = [acl for acl in side(NAMES, "User:x", "s", config.reader_prefix) if acl.prefixed]
    assert config.reader("responses")["group.id"].startswith(prefixed.name)
    assert prefixed.name == settings.get("reader.group.prefix", GROUP_PREFIX)
