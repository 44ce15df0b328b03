"""``kafka-bridge jobs`` as people call it, on a broker with a worker in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from integration.jobs import WAIT_SECONDS
from kafka_bridge.protocol.topics import (
    CONTROL_TOPIC,
    DEAD_LETTER_TOPIC,
    REQUEST_TOPIC,
    RESPONSE_TOPIC,
)
from kafka_bridge.testing import EmbeddedBroker

if TYPE_CHECKING:
    from conftest import Eventually

SERVICE = """
import time
from kafka_bridge.worker import JobContext, Worker

worker = Worker("service", worker_id="w-1", concurrency=4)

@worker.job("double")
def double(job: JobContext, payload: int) -> int:
    job.progress(1, total=1, unit="numbers")
    return 2 * payload

@worker.job("fail")
def fail(job: JobContext, payload: str) -> None:
    raise ValueError(payload)

@worker.job("sleep")
def sleep(job: JobContext, payload: None) -> None:
    while True:
        job.raise_if_stopped()
        time.sleep(0.05)

worker.run()
"""


class CommandLine:
    """The command line, and the worker."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.environ = os.environ | {"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": broker.bootstrap_servers}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Python, with pipes for both outputs."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``kafka-bridge`` to its end."""
        process = self.start("-m", "kafka_bridge", *words)
        out, err = process.communicate(timeout=WAIT_SECONDS)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def facts(self, *words: str) -> list[dict[str, Any]]:
        """Return what a command prints as JSON."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def command_line() -> Iterator[CommandLine]:
    """Give the command line on an embedded broker on which a worker runs."""
    topics = [REQUEST_TOPIC, RESPONSE_TOPIC, CONTROL_TOPIC, DEAD_LETTER_TOPIC]
    with EmbeddedBroker(topics) as broker:
        found = CommandLine(broker)
        worker = found.start("-c", SERVICE)
        try:
            yield found
        finally:
            worker.kill()
            worker.communicate()


def test_submitted_job_is_waited_for(command_line: CommandLine) -> None:
    """The result is all that goes to standard output. The job is in the list, and can be shown."""
    done = command_line.run("jobs", "submit", "double", "--payload", "21", "--wait")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    job = done.stderr.splitlines()[0]
    (listed,) = command_line.facts("jobs", "list", "--type", "double")
    assert (listed["correlation_id"], listed["state"]) == (job, "SUCCEEDED")
    (shown,) = command_line.facts("jobs", "show", job, "--payload", "--result")
    assert (shown["payload"], shown["result"]) == (21, 42)
    states = [each["state"] for each in shown["events"]]
    assert (states[0], states[-1]) == ("ACCEPTED", "SUCCEEDED")


def test_failed_job_is_seen_in_the_exit_code(command_line: CommandLine) -> None:
    """Standard error has the service's own error."""
    done = command_line.run("jobs", "submit", "fail", "--payload", '"no disk"', "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ValueError: no disk" in done.stderr


def test_running_job_is_watched_and_cancelled(
    command_line: CommandLine, eventually: Eventually
) -> None:
    """Queues and workers show it; a cancel by its type ends it, and so the watching."""
    job = command_line.run("jobs", "submit", "sleep", "--payload", "null").stdout.strip()
    eventually(
        lambda: command_line.facts("jobs", "list", "--state", "accepted", "--state", "running"),
        "the job runs",
    )
    (queue,) = command_line.facts("queues", "list")
    assert (queue["topic"], queue["running"]) == (REQUEST_TOPIC, 1)
    (worker,) = command_line.facts("workers", "list")
    assert (worker["worker_id"], worker["state"], worker["jobs"]) == ("w-1", "alive", 1)
    watch = command_line.start("-m", "kafka_bridge", "jobs", "watch", job)
    assert watch.stdout is not None
    assert job in watch.stdout.readline()
    done = command_line.run("jobs", "cancel", "--type", "sle*", "--yes", "--reason", "enough")
    assert f"{job}: CANCEL sent" in done.stdout, done.stderr
    out, err = watch.communicate(timeout=WAIT_SECONDS)
    assert watch.returncode == 1, err
    assert "CANCELLED" in out.splitlines()[-1]
    assert "enough" in out


def test_ctrl_c_cancels_a_job_that_is_waited_for(
    command_line: CommandLine, eventually: Eventually
) -> None:
    """If the option says so. The exit code is that of an interrupted program."""
    words = ("sleep", "--payload", "null", "--wait", "--cancel-on-interrupt")
    waiting = command_line.start("-m", "kafka_bridge", "jobs", "submit", *words)
    assert waiting.stderr is not None
    job = waiting.stderr.readline().strip()
    assert job in waiting.stderr.readline()  # it is followed now
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=WAIT_SECONDS)
    assert waiting.returncode == 130, err
    assert f"{job}: CANCEL sent" in err

    def is_cancelled() -> bool:
        (shown,) = command_line.facts("jobs", "show", job)
        return bool(shown["state"] == "CANCELLED")

    eventually(is_cancelled, "the job is cancelled")


def test_unknown_topic_and_broker_say_what_to_do(command_line: CommandLine) -> None:
    """One line on standard error, and exit code 1."""
    done = command_line.run("jobs", "list", "no.such.topic")
    assert (done.returncode, done.stdout) == (1, "")
    assert "topic 'no.such.topic' does not exist" in done.stderr
    assert len(done.stderr.splitlines()) == 1
