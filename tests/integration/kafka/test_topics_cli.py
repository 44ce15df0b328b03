"""``kafka-bridge topics`` on a real Kafka."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from integration.jobs import WAIT_SECONDS, config_of
from kafka_bridge.kafka.admin.topics import Copies, TopicNames, check_topics, plan_topics
from kafka_bridge.testing import Broker, KafkaCluster

if TYPE_CHECKING:
    from conftest import TopicFactory

DAY = timedelta(days=1)
PROGRAM = "from kafka_bridge.cli import main; main()"


@pytest.fixture
def names(real_broker: Broker, unique_name: Callable[[str], str]) -> Iterator[TopicNames]:
    """Give names of four topics that do not exist, gone after the test."""
    names = TopicNames(*(unique_name(kind) for kind in ("q", "a", "c", "d")))
    yield names
    real_broker.delete_topics(names)


@pytest.fixture
def names_on_cluster(
    kafka_cluster: KafkaCluster, unique_name: Callable[[str], str]
) -> Iterator[TopicNames]:
    """Give names of four topics that do not exist on the cluster, gone after the test."""
    names = TopicNames(*(unique_name(kind) for kind in ("q", "a", "c", "d")))
    yield names
    kafka_cluster.delete_topics(names)


def run(
    broker: Broker, command: str, names: TopicNames, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run ``kafka-bridge topics <command>`` for these names.

    One copy is asked for unless the options say how many.
    """
    if "--replication" not in options and "--safe" not in options:
        options = (*options, "--replication", "1")
    options = tuple(each for each in options if each != "--safe")
    pairs = zip(("--requests", "--responses", "--control", "--dead-letters"), names, strict=True)
    arguments = [each for pair in pairs for each in pair]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "topics", command, *arguments, *options],
        env={"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": broker.bootstrap_servers},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def set_topic(broker: Broker, topic: str, **settings: str) -> None:
    """Change settings of a topic; underscores stand for dots."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    (answer,) = admin.incremental_alter_configs([resource]).values()
    answer.result(WAIT_SECONDS)


def row(output: str, topic: str) -> str:
    """Return the row of a report that is about a topic, and the findings about it."""
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("topic "))
    about = [line for line in lines[start:] if topic in line]
    assert about[0].startswith(f"{topic} ")
    return "\n".join(about)


def test_create_makes_topics_that_lose_no_job(real_broker: Broker, names: TopicNames) -> None:
    """Each topic has the configured partitions, replication, cleanup policy and retention."""
    options = ("--partitions", "3", "--replication", "1")
    result = run(
        real_broker, "create", names, *options, "--longest-job", "2d", "--longest-wait", "1d"
    )
    assert result.returncode == 0, result.stderr
    assert f"{names.requests}: created" in result.stdout
    config = config_of(real_broker.bootstrap_servers)
    plans = plan_topics(names, copies=Copies(1, 1), longest_job=2 * DAY, longest_wait=DAY)
    found = {
        report.name: (
            report.partitions,
            report.replication,
            report.settings["cleanup.policy"],
            int(report.settings["retention.ms"]) * timedelta(milliseconds=1),
            report.problems,
        )
        for report in check_topics(config, plans)
    }
    assert found == {
        names.requests: (3, 1, "delete", 4 * DAY, ()),
        names.responses: (3, 1, "delete", 4 * DAY, ()),
        names.control: (1, 1, "delete", 2 * DAY, ()),
        names.dead_letters: (1, 1, "delete", 30 * DAY, ()),
    }


def test_callback_topic_is_created_and_checked_if_named(
    real_broker: Broker, names: TopicNames, unique_name: Callable[[str], str]
) -> None:
    """Both commands have an option for a gateway's topic."""
    callbacks = unique_name("cb")
    try:
        assert row(run(real_broker, "create", names).stdout, names.requests)
        missing = run(real_broker, "check", names, "--callbacks", callbacks)
        assert "it does not exist" in row(missing.stdout, callbacks)
        created = run(real_broker, "create", names, "--callbacks", callbacks)
        assert f"{callbacks}: created" in created.stdout
        assert "15 days" in row(created.stdout, callbacks)
    finally:
        real_broker.delete_topics([callbacks])


def test_second_create_does_not_change_topics(real_broker: Broker, names: TopicNames) -> None:
    """Also with other numbers; the output says so."""
    assert run(real_broker, "create", names, "--partitions", "2").returncode == 0
    result = run(real_broker, "create", names, "--partitions", "5")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("exists, not changed") == 4
    plans = plan_topics(names, copies=Copies(1, 1))
    (report, *_) = check_topics(config_of(real_broker.bootstrap_servers), plans)
    assert report.partitions == 2


def test_check_reports_settings_that_could_lose_jobs(
    real_broker: Broker, names: TopicNames
) -> None:
    """Compaction, short retention and a size limit; exit code 1."""
    assert run(real_broker, "create", names).returncode == 0
    assert run(real_broker, "check", names).returncode == 0
    set_topic(real_broker, names.responses, cleanup_policy="compact")
    set_topic(real_broker, names.requests, retention_ms="3600000")
    set_topic(real_broker, names.dead_letters, retention_bytes="1000000")
    result = run(real_broker, "check", names)
    assert result.returncode == 1
    assert "cleanup.policy is 'compact', must be 'delete'" in row(result.stdout, names.responses)
    assert "retention.ms is 3600000 (1 hour), must be" in row(result.stdout, names.requests)
    assert "retention.bytes is set" in row(result.stdout, names.dead_letters)
    assert "✗" not in row(result.stdout, names.control)
    bad = ", ".join((names.requests, names.responses, names.dead_letters))
    assert result.stderr == f"kafka-bridge: {bad} could lose jobs; see above\n"


def test_check_finds_retention_too_short_for_longer_jobs(
    real_broker: Broker, names: TopicNames
) -> None:
    """Topics made for short jobs are a problem once jobs take longer."""
    assert run(real_broker, "create", names, "--longest-job", "1h").returncode == 0
    result = run(real_broker, "check", names, "--longest-job", "30d")
    assert result.returncode == 1
    for name in (names.requests, names.responses):
        assert "retention.ms is" in row(result.stdout, name)
    assert "✗" not in row(result.stdout, names.control)


def test_check_reports_missing_topics(real_broker: Broker, names: TopicNames) -> None:
    """With the command that creates them; none is created."""
    for _ in range(2):
        result = run(real_broker, "check", names)
        assert result.returncode == 1
        for name in names:
            assert "it does not exist: run `kafka-bridge topics create`" in row(result.stdout, name)


def test_one_copy_is_a_problem_unless_asked_for(real_broker: Broker, names: TopicNames) -> None:
    """On one broker a single copy is created, and reported as unsafe, with exit code 1."""
    created = run(real_broker, "create", names, "--safe")
    assert created.returncode == 1
    assert f"{names.requests}: created" in created.stdout
    words = f"✗ {', '.join(names)}: replication factor 1: a lost broker loses jobs, 3 is safe (if "
    assert words in row(created.stdout, names.requests)
    checked = run(real_broker, "check", names, "--safe")
    assert checked.returncode == 1
    assert words in row(checked.stdout, names.control)
    assert run(real_broker, "check", names, "--replication", "1").returncode == 0
    assert run(real_broker, "create", names, "--replication", "1").returncode == 0


def test_three_brokers_keep_three_copies(kafka_cluster: KafkaCluster, names_on_cluster) -> None:  # type: ignore[no-untyped-def]
    """By default: three copies, two of which must have a record; the check reports nothing."""
    created = run(kafka_cluster, "create", names_on_cluster, "--safe")
    assert created.returncode == 0, created.stdout
    config = config_of(kafka_cluster.bootstrap_servers)
    for report in check_topics(config, plan_topics(names_on_cluster)):
        assert report.replication == 3
        assert report.settings["min.insync.replicas"] == "2"
        assert (report.problems, report.advice) == ((), ())
    for topic, count in ((names_on_cluster.requests, "1"), (names_on_cluster.control, "3")):
        set_topic(kafka_cluster, topic, min_insync_replicas=count)
    checked = run(kafka_cluster, "check", names_on_cluster, "--safe")
    assert checked.returncode == 1
    assert f"✗ {names_on_cluster.requests}: min.insync.replicas is 1" in row(
        checked.stdout, names_on_cluster.requests
    )
    assert f"! {names_on_cluster.control}: min.insync.replicas is 3 of 3" in row(
        checked.stdout, names_on_cluster.control
    )
    meant = ("--safe", "--min-insync-replicas", "1")
    assert run(kafka_cluster, "check", names_on_cluster, *meant).returncode == 0


@pytest.mark.parametrize("codec", ["zstd", "gzip", "lz4", "snappy"])
def test_topic_refuses_a_batch_that_unpacks_to_too_much(
    real_broker: Broker, topics: TopicFactory, codec: str
) -> None:
    """A few kB that unpack to 20 MB: a topic of `create` refuses it.

    A topic with Kafka's default, or another compression.type, accepts it; the check reports that.
    """
    (plan, *_) = plan_topics(TopicNames(), copies=Copies(1, 1))
    safe, unsafe = topics("safe", 1, plan.settings), topics("unsafe", 1)
    assert bomb(real_broker, unsafe, codec) is None
    assert bomb(real_broker, safe, codec) == "MSG_SIZE_TOO_LARGE"
    plans = [replace(plan, name=name) for name in (safe, unsafe)]
    first, second = check_topics(config_of(real_broker.bootstrap_servers), plans)
    assert not [text for text in first.advice if "compression.type" in text]
    assert [text for text in second.advice if "compression.type is 'producer'" in text]


def bomb(broker: Broker, topic: str, codec: str) -> str | None:
    """Publish 20 MB of zeros, compressed; return the name of the resulting error."""
    failures: list[str | None] = []
    producer = ck.Producer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "compression.type": codec,
            "message.max.bytes": 100_000_000,
        }
    )
    done = lambda error, _: failures.append(error.name() if error else None)  # noqa: E731
    producer.produce(topic, bytes(20_000_000), on_delivery=done)
    producer.flush(30)
    return failures[0]


def test_error_of_the_broker_is_printed(real_broker: Broker, names: TopicNames) -> None:
    """For more copies than there are brokers: one line, and exit code 1."""
    result = run(real_broker, "create", names, "--replication", "99")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "failed while creating topic" in result.stderr
