"""What a worker is told, by its maker and by the environment."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import Worker

ENVIRON = {
    "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "a:1",
    "KAFKA_BRIDGE_KAFKA_CLIENT_RACK": "r1",
    "KAFKA_BRIDGE_GROUP_ID": "auditors",
}


def test_environment_makes_a_worker() -> None:
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


def test_environment_may_leave_out_what_has_a_default() -> None:
    """Group and brokers are enough."""
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
def test_wrong_environment_is_named(wrong: dict[str, str], words: str) -> None:
    """The variable that is missing or makes no sense is in the error."""
    with pytest.raises(ConfigurationError, match=words):
        Worker.from_env(ENVIRON | wrong)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"group_id": ""}, "a worker needs a group_id"),
        ({"group_id": "g", "concurrency": -1}, "concurrency must be at least 1, not -1"),
    ],
)
def test_wrong_argument_is_named(arguments: dict[str, Any], words: str) -> None:
    """A worker that could do nothing is not made."""
    with pytest.raises(ConfigurationError, match=words):
        Worker(**arguments)


def test_worker_without_handlers_does_not_run() -> None:
    """It would fail every job: it is refused before it joins its group."""
    worker = Worker("g", kafka={"bootstrap.servers": "127.0.0.1:9"})
    with pytest.raises(ConfigurationError, match="the worker has no handler"):
        worker.run()


def test_misspelt_kafka_property_is_named() -> None:
    """A typo in Kafka's settings is an error at start, with the property's name."""
    worker = Worker("g", kafka={"bootstrap.servers": "127.0.0.1:9", "sasl.usrname": "me"})
    worker.job("a.job")(lambda _: None)
    with pytest.raises(ConfigurationError, match=r"No such configuration property: .sasl\.usrname"):
        worker.run()


def test_workers_have_ids_of_their_own() -> None:
    """Two workers are told apart in events, and a name can be given."""
    assert Worker("g").worker_id != Worker("g").worker_id
    assert Worker("g", worker_id="w-7").worker_id == "w-7"
