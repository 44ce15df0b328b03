"""Job commands on a real Kafka, and ``kafka-bridge jobs cancel``."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS, config_of
from kafka_bridge.kafka.commands import cancel
from kafka_bridge.kafka.offsets import read_record
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation, TopicNotFound
from kafka_bridge.protocol.headers import text_header
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import Command, JobCommand
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory

PROGRAM = "from kafka_bridge.cli import main; main()"


def read(broker: Broker, location: RecordLocation) -> Record:
    """Return the record at a place."""
    return read_record(config_of(broker.bootstrap_servers), location, WAIT_SECONDS)


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_cancel_is_published_with_its_reason(
    real_broker: Broker, topics: TopicFactory, encoding: Encoding
) -> None:
    """Its key is the job's id; it has the headers of the protocol."""
    topic, job = topics("control"), new_correlation_id()
    config = config_of(real_broker.bootstrap_servers)
    place = cancel(config, topic, job, "too slow", encoding=encoding, timeout=WAIT_SECONDS)
    record = read(real_broker, place)
    command = record.decode(JobCommand)
    assert record.key == job.encode()
    assert (command.correlation_id, command.command) == (job, Command.CANCEL)
    assert command.reason == "too slow"
    assert text_header(record.headers, "kafka_correlationId") == job
    assert ("json" in (text_header(record.headers, "content-type") or "")) == (
        encoding is Encoding.JSON
    )


def test_cancel_is_quick(real_broker: Broker, topics: TopicFactory) -> None:
    """A new producer's first record does not wait half a second for the producer's id."""
    topic, config = topics("control"), config_of(real_broker.bootstrap_servers)
    took = []
    for _ in range(3):
        begin = time.monotonic()
        cancel(config, topic, new_correlation_id(), None, timeout=WAIT_SECONDS)
        took.append(time.monotonic() - begin)
    assert min(took) < 0.4


def test_missing_control_topic_is_an_error(real_broker: Broker) -> None:
    """The error names the topic, and the topic is not created."""
    config = config_of(real_broker.bootstrap_servers)
    with pytest.raises(TopicNotFound, match=r"topic 'no.control' does not exist"):
        cancel(config, "no.control", new_correlation_id(), None, timeout=WAIT_SECONDS)


def run(broker: Broker, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``kafka-bridge jobs cancel`` on a broker."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "jobs", "cancel", *arguments],
        env={"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_command_line_cancels_each_job(real_broker: Broker, topics: TopicFactory) -> None:
    """The output has the position of each command."""
    topic, jobs = topics("control", partitions=1), [new_correlation_id(), new_correlation_id()]
    result = run(real_broker, *jobs, "--reason", "not needed", "--control", topic)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"{job}: CANCEL sent ({topic}[0]@{offset})" for offset, job in enumerate(jobs)
    ]
    for offset, job in enumerate(jobs):
        command = read(real_broker, RecordLocation(topic, 0, offset)).decode(JobCommand)
        assert (command.correlation_id, command.reason) == (job, "not needed")


def test_command_line_prints_an_error_for_each_job(real_broker: Broker) -> None:
    """For a missing topic, with exit code 1."""
    job = new_correlation_id()
    result = run(real_broker, job, "--control", "no.control")
    assert result.returncode == 1
    assert result.stderr.startswith(
        f"{job}: CANCEL not sent: topic 'no.control' does not exist on Kafka at "
    )
