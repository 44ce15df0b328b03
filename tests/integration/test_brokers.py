"""Brokers across real processes: the embedded one, `kafka-bridge broker`, and Apache Kafka."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from typer.testing import CliRunner

from kafka_bridge.cli.app import app
from kafka_bridge.testing import ApacheKafka, Broker, BrokerStartFailed, EmbeddedBroker, TopicExists
from kafka_bridge.testing.brokers import apache
from kafka_bridge.testing.brokers.topics import admin_client, cluster_id
from kafka_bridge.testing.ports import free_port, is_free

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Eventually = Callable[..., None]
    UniqueName = Callable[[str], str]

BROKER = "import typer; from kafka_bridge.cli.broker import broker; typer.run(broker)"
"""`kafka-bridge broker`, by a way that gives the test its process id."""

PARENT = """
import subprocess, sys
broker = subprocess.Popen(sys.argv[1:])
print(broker.pid, file=sys.stderr, flush=True)
broker.wait()
"""

PRODUCE = """
import sys
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": sys.argv[1]})
for number in range(10):
    producer.produce(sys.argv[2], str(number).encode(), key=str(number).encode())
assert producer.flush(20) == 0
"""


def produce(broker: Broker, topic: str, *values: str) -> None:
    """Write values and see them acknowledged."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for value in values:
        producer.produce(topic, value.encode())
    assert producer.flush(20) == 0


def consume(address: str, topic: str, group: str, count: int) -> list[str]:
    """Read `count` values as a member of a group, within 30 s, and commit them."""
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    values: list[str] = []
    for _ in range(60):
        values += [(message.value() or b"").decode() for message in consumer.consume(count, 0.5)]
        if len(values) >= count:
            break
    consumer.close()
    return values


def gone(pid: int) -> bool:
    """Say whether a process has ended, be it that nobody has collected it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def answers(address: str) -> bool:
    """Say whether a Kafka broker answers there at this moment."""
    return cluster_id(admin_client(address), 0.5) is not None


@contextmanager
def command(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run `kafka-bridge broker` as a person does."""
    with subprocess.Popen(
        [sys.executable, "-c", BROKER, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


@contextmanager
def child_of_a_parent(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """Run `kafka-bridge broker` under a parent to kill; give parent, address and broker's pid."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, sys.executable, "-c", BROKER, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        pid = int(parent.stderr.readline())
        yield parent, parent.stdout.readline().strip(), pid
        os.killpg(parent.pid, signal.SIGKILL)  # the parent is still uncollected: its group is ours


def test_a_group_in_another_process_reads_what_a_third_wrote(
    kafka_broker: EmbeddedBroker, unique_name: UniqueName
) -> None:
    """The embedded broker serves producer and consumer group from processes of their own."""
    topic = unique_name("topic")
    kafka_broker.create_topic(topic)
    subprocess.run(
        [sys.executable, "-c", PRODUCE, kafka_broker.bootstrap_servers, topic],
        check=True,
        timeout=60,
    )
    read = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_brokers import consume;"
        "print(*sorted(consume(*sys.argv[2:5], 10)))"
    )
    arguments = [str(Path(__file__).parent), kafka_broker.bootstrap_servers, topic, "a-group"]
    done = subprocess.run(
        [sys.executable, "-c", read, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == [str(number) for number in range(10)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_ends_cleanly(number: signal.Signals) -> None:
    """One line on stdout, the address of a broker with the topics; exit 0, no traceback."""
    with command("--topic", "jobs.requests", "--topic", "jobs.responses") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        found = set(admin_client(address).list_topics(timeout=10).topics)
        process.send_signal(number)
        rest, hints = process.communicate(timeout=30)
    assert {"jobs.requests", "jobs.responses"} <= found
    assert rest == ""
    assert "Ctrl-C stops it" in hints
    assert "Traceback" not in hints
    assert process.returncode == 0


@pytest.mark.parametrize("kind", ["embedded", pytest.param("apache", marks=pytest.mark.long)])
def test_the_command_listens_on_the_port_that_was_chosen(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """The printed address has the port, and a broker answers there."""
    if kind == "apache":
        request.getfixturevalue("kafka_jars")
    port = free_port()
    with command("--kind", kind, "--port", str(port)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"127.0.0.1:{port}\n"
        assert answers(f"127.0.0.1:{port}")
        process.terminate()
        process.communicate(timeout=30)


def test_the_command_listens_on_kafkas_own_port_if_it_is_free() -> None:
    """That is the address in the documentation; if it is taken, another one is printed."""
    taken = not is_free(9092)
    with command() as process:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        assert first == "127.0.0.1:9092" or taken
        with command() as other:
            assert other.stdout is not None
            second = other.stdout.readline().strip()
            assert answers(second)
            other.terminate()
            _, hints = other.communicate(timeout=30)
        process.terminate()
        process.communicate(timeout=30)
    assert second not in {first, "127.0.0.1:9092"}
    assert "another process uses port 9092, so this broker has another one" in hints


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "another process uses port"),
        (("--kind", "apache"), "another process uses port"),
        (("--kind", "auto"), "with --kind auto no port can be chosen"),
    ],
)
def test_a_port_that_cannot_be_had_is_refused(options: tuple[str, ...], words: str) -> None:
    """A usage error says what to do; no broker is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(
            app, ["broker", "--port", str(taken.getsockname()[1]), *options]
        )
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


def test_the_command_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a JDK: exit 1, the reason on stderr, no traceback and nothing on stdout."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with command("--kind", "apache") as process:
        said, hints = process.communicate(timeout=30)
    assert said == ""
    assert "no JDK 17+ ('java') on PATH" in hints
    assert "Traceback" not in hints
    assert process.returncode == 1


def test_the_command_stops_when_its_parent_is_killed(eventually: Eventually) -> None:
    """A script that dies, even by SIGKILL, leaves no broker behind."""
    with child_of_a_parent("--stop-with-parent") as (parent, address, pid):
        assert answers(address)
        parent.kill()
        eventually(lambda: gone(pid), "the broker ends with its parent")
        assert not answers(address)


def test_the_command_outlives_the_shell_that_started_it(eventually: Eventually) -> None:
    """Started with `&` or `nohup`, it runs until it is told to stop."""
    with child_of_a_parent() as (parent, address, pid):
        parent.kill()
        parent.wait()
        eventually(lambda: psutil.Process(pid).ppid() != parent.pid, "the parent is gone")
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(pid).wait(timeout=1)  # five looks at the parent
        assert answers(address)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: gone(pid), "the broker ends by SIGTERM")


@pytest.mark.long
def test_no_java_process_outlives_a_killed_command(
    kafka_jars: None, eventually: Eventually
) -> None:
    """SIGKILL of parent and command at once: the Java process ends, too."""
    with child_of_a_parent("--kind", "apache") as (parent, address, pid):
        descendants = psutil.Process(pid).children(recursive=True)
        java = next(child for child in descendants if child.name() == "java")
        assert answers(address)
        os.kill(pid, signal.SIGKILL)
        parent.kill()
        eventually(lambda: gone(java.pid), "the Java process ends")


@pytest.mark.long
def test_data_and_address_survive_a_kill(
    private_broker: ApacheKafka, unique_name: UniqueName
) -> None:
    """SIGKILL, start again: same address, and every acknowledged record is there."""
    topic, address = unique_name("topic"), private_broker.bootstrap_servers
    private_broker.create_topic(topic, partitions=3, config={"retention.ms": "3600000"})
    produce(private_broker, topic, "before")
    first = private_broker.pid
    private_broker.kill()
    assert gone(first)
    assert not answers(address)
    private_broker.start()
    assert private_broker.bootstrap_servers == address
    assert private_broker.pid != first
    produce(private_broker, topic, "after")
    assert sorted(consume(address, topic, unique_name("group"), 2)) == ["after", "before"]


@pytest.mark.long
def test_a_paused_broker_hangs_and_a_stopped_one_refuses(
    private_broker: ApacheKafka, eventually: Eventually
) -> None:
    """`pause` keeps the port open and answers nothing; `stop` closes it; both can be undone."""
    address = private_broker.bootstrap_servers
    host, port = address.split(":")
    private_broker.pause()
    assert not answers(address)
    with socket.create_connection((host, int(port)), timeout=5):
        pass
    private_broker.resume()
    eventually(lambda: answers(address), "it answers after a pause")
    private_broker.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    private_broker.start()
    assert answers(address)


@pytest.mark.long
def test_a_taken_port_is_no_obstacle(
    private_broker: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another process took the port first, the next broker tries another one."""
    taken = int(private_broker.bootstrap_servers.rpartition(":")[2])
    offers = iter([taken, *(free_port() for _ in range(9))])
    monkeypatch.setattr(apache, "free_port", lambda: next(offers))
    with ApacheKafka() as second:
        assert second.bootstrap_servers != private_broker.bootstrap_servers
        assert answers(second.bootstrap_servers)
        assert answers(private_broker.bootstrap_servers)


def test_a_start_that_fails_is_explained(kafka_jars: None) -> None:
    """A setting that Kafka refuses is reported in Kafka's words, and nothing stays running."""
    broken = ApacheKafka(properties={"num.io.threads": "none"})
    with pytest.raises(BrokerStartFailed, match=r"num\.io\.threads"):
        broken.start()
    assert not broken.running


def test_topics_are_created_once_and_only_on_request(
    real_broker: Broker, topics: Callable[..., str], unique_name: UniqueName
) -> None:
    """A second creation is TopicExists, and producing to a misspelt topic is an error."""
    name = topics(partitions=3, config={"cleanup.policy": "compact"})
    described = admin_client(real_broker.bootstrap_servers).list_topics(timeout=10).topics[name]
    assert len(described.partitions) == 3
    with pytest.raises(TopicExists, match=name):
        real_broker.create_topic(name)
    producer = Producer(
        {"bootstrap.servers": real_broker.bootstrap_servers, "topic.metadata.propagation.max.ms": 0}
    )
    with pytest.raises(KafkaException):
        produce_to_unknown(producer, unique_name("unknown"))


def produce_to_unknown(producer: Producer, topic: str) -> None:
    """Produce one record and raise what came of it."""
    failures: list[KafkaException] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failures.append(KafkaException(error))

    producer.produce(topic, b"value", on_delivery=delivered)
    producer.flush(20)
    raise failures[0]
