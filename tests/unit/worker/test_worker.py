"""The settings of a worker, from the program and from the environment."""

from __future__ import annotations

import asyncio
import json
import math
import os
import pydoc
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from kafka_bridge import worker as public
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.testing.brokers.external import ExternalBroker
from kafka_bridge.worker import Worker
from kafka_bridge.worker.settings import WorkerSettings

ENVIRON = {
    "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "a:1",
    "KAFKA_BRIDGE_KAFKA_CLIENT_RACK": "r1",
    "KAFKA_BRIDGE_GROUP_ID": "auditors",
}


def test_environment_sets_up_a_whole_worker() -> None:
    """Every setting has its variable."""
    worker = Worker.from_env(
        ENVIRON
        | {
            "KAFKA_BRIDGE_REQUEST_TOPIC": "q",
            "KAFKA_BRIDGE_DEAD_LETTER_TOPIC": "d",
            "KAFKA_BRIDGE_CONCURRENCY": "4",
            "KAFKA_BRIDGE_GRACE_SECONDS": "2.5",
        }
    )
    assert (worker.group_id, worker.request_topic, worker.dead_letter_topic) == (
        "auditors",
        "q",
        "d",
    )
    assert (worker.concurrency, worker.grace) == (4, 2.5)
    assert dict(worker.kafka_config().settings) == {"bootstrap.servers": "a:1", "client.rack": "r1"}


def test_group_and_brokers_are_enough() -> None:
    """Everything else has a default."""
    worker = Worker.from_env(ENVIRON)
    assert (worker.request_topic, worker.dead_letter_topic, worker.concurrency, worker.grace) == (
        "jobs.requests",
        "jobs.dead-letters",
        1,
        30.0,
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"KAFKA_BRIDGE_GROUP_ID": ""}, "KAFKA_BRIDGE_GROUP_ID is not set"),
        ({"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""}, "set KAFKA_BRIDGE_BOOTSTRAP_SERVERS"),
        (
            {"KAFKA_BRIDGE_CONCURRENCY": "many"},
            "KAFKA_BRIDGE_CONCURRENCY must be a whole number, not 'm",
        ),
        ({"KAFKA_BRIDGE_CONCURRENCY": "1.5"}, "KAFKA_BRIDGE_CONCURRENCY must be a whole number"),
        ({"KAFKA_BRIDGE_CONCURRENCY": "0"}, "concurrency must be at least 1, not 0"),
        ({"KAFKA_BRIDGE_GRACE_SECONDS": "a"}, "KAFKA_BRIDGE_GRACE_SECONDS must be a number"),
    ],
)
def test_wrong_variable_is_named_in_the_error(wrong: dict[str, str], words: str) -> None:
    """Both a missing variable and one with an impossible value."""
    with pytest.raises(ConfigurationError, match=words):
        Worker.from_env(ENVIRON | wrong)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"group_id": ""}, "a worker needs a group_id"),
        ({"group_id": "g", "concurrency": -1}, "concurrency must be at least 1, not -1"),
    ],
)
def test_wrong_argument_is_named_in_the_error(arguments: dict[str, Any], words: str) -> None:
    """A worker that could not run cannot be made."""
    with pytest.raises(ConfigurationError, match=words):
        Worker(**arguments)


def test_environment_sets_what_the_program_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the program names the group; and the program has the last word."""
    for name, value in (("REQUEST_TOPIC", "q"), ("WORKER_ID", "w-7"), ("CONCURRENCY", "4")):
        monkeypatch.setenv(f"KAFKA_BRIDGE_{name}", value)
    worker = Worker("mine", concurrency=2)
    assert (worker.group_id, worker.request_topic, worker.worker_id) == ("mine", "q", "w-7")
    assert worker.concurrency == 2
    monkeypatch.setenv("KAFKA_BRIDGE_GROUP_ID", "theirs")
    assert Worker().group_id == "theirs"


def test_environment_that_is_passed_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own variables have no effect then."""
    monkeypatch.setenv("KAFKA_BRIDGE_METRICS_PORT", "9000")
    monkeypatch.setenv("KAFKA_BRIDGE_WORKER_ID", "w-7")
    worker = Worker.from_env(ENVIRON)
    assert worker.metrics_port is None
    assert worker.worker_id != "w-7"


def test_worker_without_a_group_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names both ways to set it."""
    monkeypatch.delenv("KAFKA_BRIDGE_GROUP_ID", raising=False)
    with pytest.raises(ConfigurationError, match=r"Worker\(group_id=…\), or KAFKA_BRIDGE_GROUP_ID"):
        Worker()


def test_variables_without_effect_are_warned_about_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Overridden ones and misspelt ones; a password is never shown."""
    for name, value in (
        ("GROUP_ID", "theirs"),
        ("CONCURENCY", "8"),
        ("BOOTSTRAP_SERVERS", "a:1"),
        ("KAFKA_SASL_PASSWORD", "hush"),
        ("PORT_9000_TCP_ADDR", "10.0.0.1"),
        ("SERVICE_HOST", "10.0.0.1"),
        ("LOG_LEVEL", "info"),
    ):
        monkeypatch.setenv(f"KAFKA_BRIDGE_{name}", value)
    worker = Worker("mine", kafka={"bootstrap.servers": "127.0.0.1:9", "sasl.usrname": "me"})
    worker.job("a.job")(lambda _: None)
    with pytest.raises(ConfigurationError):
        worker.run()
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "KAFKA_BRIDGE_GROUP_ID=theirs is not used: the program sets group_id to 'mine'",
        "KAFKA_BRIDGE_BOOTSTRAP_SERVERS and KAFKA_BRIDGE_KAFKA_… are not used: the program sets "
        "Kafka's properties itself (kafka=…). These values differ: bootstrap.servers, "
        "sasl.password",
        "KAFKA_BRIDGE_CONCURENCY is not a variable of kafka-bridge and has no effect: "
        "did you mean KAFKA_BRIDGE_CONCURRENCY?",
    ]


@pytest.mark.parametrize("name", ["grace", "concurrency"])
def test_impossible_value_that_is_set_later_is_refused(name: str) -> None:
    """Attributes may change until the worker runs; then they are checked again."""
    worker = Worker("g", kafka={"bootstrap.servers": "127.0.0.1:9"})
    worker.job("a.job")(lambda _: None)
    setattr(worker, name, -math.inf)
    with pytest.raises(ConfigurationError, match=f"{name} must be"):
        worker.run()


@pytest.mark.parametrize("public", [Worker, WorkerSettings, KafkaConfig, ExternalBroker])
def test_help_does_not_print_the_environment(monkeypatch: pytest.MonkeyPatch, public: type) -> None:
    """A default that is the environment itself would print its passwords."""
    monkeypatch.setenv("A_PASSWORD", "hush-hush")
    assert "hush-hush" not in pydoc.render_doc(public)


def test_worker_without_handlers_does_not_run() -> None:
    """It would fail every job, so it does not join its group."""
    worker = Worker("g", kafka={"bootstrap.servers": "127.0.0.1:9"})
    with pytest.raises(ConfigurationError, match="the worker has no handler"):
        worker.run()


def test_misspelt_kafka_property_is_named() -> None:
    """A typo in Kafka's settings is an error at start, with the property's name."""
    worker = Worker("g", kafka={"bootstrap.servers": "127.0.0.1:9", "sasl.usrname": "me"})
    worker.job("a.job")(lambda _: None)
    with pytest.raises(ConfigurationError, match=r"No such configuration property: .sasl\.usrname"):
        worker.run()


def test_each_worker_has_its_own_id() -> None:
    """Events tell two workers apart; a program can choose the id."""
    assert Worker("g").worker_id != Worker("g").worker_id
    assert Worker("g", worker_id="w-7").worker_id == "w-7"


def test_grace_may_be_a_timedelta() -> None:
    """Also if it is set later."""
    assert Worker("g", grace=timedelta(minutes=1)).settings().grace == 60.0
    worker = Worker("g")
    worker.grace = timedelta(seconds=5)
    assert worker.settings().grace == 5.0


def test_errors_that_an_author_meets_are_exported() -> None:
    """One import is enough, and every name in ``__all__`` exists."""
    assert {"ApplicationError", "ConfigurationError", "JobStopped"} <= set(public.__all__)
    assert all(hasattr(public, name) for name in public.__all__)


NOBODY = {"bootstrap.servers": "127.0.0.1:9"}
PROGRAM = """
import sys
from kafka_bridge.worker import Worker
worker = Worker("a-group", kafka={"bootstrap.servers": "127.0.0.1:9"}, worker_id="w-7")
worker.job("a.job")(lambda job: None)
worker.stop()
worker.run(configure_logging=sys.argv[1] == "yes")
"""


def said_by_program(choice: str, **variables: str) -> list[str]:
    """Return what a program logs that runs its worker, and stops it at once."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, choice],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stderr.splitlines()


@pytest.mark.slow
def test_program_logs_as_the_command_line_does_unless_told_not_to() -> None:
    """By the same variables."""
    start, end = said_by_program("yes", KAFKA_BRIDGE_LOG_FORMAT="json")
    assert json.loads(start)["message"].startswith("Worker w-7 of group a-group: job types a.job")
    assert json.loads(end)["message"] == "Stopped"
    assert said_by_program("yes", KAFKA_BRIDGE_LOG_LEVEL="error") == []
    assert said_by_program("no") == []


def test_impossible_log_level_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it can be."""
    monkeypatch.setenv("KAFKA_BRIDGE_LOG_LEVEL", "loud")
    worker = Worker("g", kafka=NOBODY)
    worker.job("a.job")(lambda _: None)
    with pytest.raises(ConfigurationError, match=r"LOG_LEVEL must be one of debug.*, not 'loud'"):
        worker.run()


async def test_worker_stops_when_the_task_that_runs_it_is_cancelled() -> None:
    """The cancel is passed on when it has stopped."""
    worker, log = Worker("g", kafka=NOBODY), list[str]()
    worker.job("a.job")(lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "run", lambda **_: log.append("stopped") if wait(worker) else None)
        task = asyncio.create_task(worker.run_async())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert log == ["stopped"]


def wait(worker: Worker) -> bool:
    """Run until the worker is told to stop."""
    return worker._stopping.wait(30)


async def test_error_of_a_worker_is_that_of_its_task() -> None:
    """As of run()."""
    with pytest.raises(ConfigurationError, match="the worker has no handler"):
        await Worker("g", kafka=NOBODY).run_async()
