"""The settings of a worker, from the environment."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.settings import VARIABLES, WorkerSettings

GROUP = {"KAFKA_BRIDGE_GROUP_ID": "g"}


def test_every_setting_has_its_variable() -> None:
    """Each setting of a program can also be set by the environment."""
    assert list(VARIABLES) == [field.name for field in fields(WorkerSettings)]
    environ = {
        "KAFKA_BRIDGE_GROUP_ID": "auditors",
        "KAFKA_BRIDGE_REQUEST_TOPIC": "q",
        "KAFKA_BRIDGE_DEAD_LETTER_TOPIC": "d",
        "KAFKA_BRIDGE_CONTROL_TOPIC": "c",
        "KAFKA_BRIDGE_CONCURRENCY": "4",
        "KAFKA_BRIDGE_GRACE_SECONDS": "2.5",
        "KAFKA_BRIDGE_MAX_DELIVERIES": "3",
        "KAFKA_BRIDGE_WORKER_ID": "w-7",
        "KAFKA_BRIDGE_METRICS_PORT": "9000",
        "KAFKA_BRIDGE_METRICS_HOST": "::1",
        "KAFKA_BRIDGE_RESPONSE_TOPIC": "r",
        "KAFKA_BRIDGE_JOB_LOG": "off",
        "KAFKA_BRIDGE_PROCESSES": "6",
        "KAFKA_BRIDGE_KILL_AFTER_SECONDS": "1.5",
        "KAFKA_BRIDGE_MAX_JOBS_PER_PROCESS": "100",
        "KAFKA_BRIDGE_MAX_MEMORY_PER_PROCESS": "2GiB",
        "KAFKA_BRIDGE_TIME_LIMIT_SECONDS": "90",
    }
    assert WorkerSettings.from_env(environ) == WorkerSettings(
        *("auditors", "q", "d", "c", 4, 2.5, 3, "w-7", 9000, "::1", "r", False),
        *(6, 1.5, 100, 2 * 1024**3, 90.0),
    )


def test_empty_variables_are_ignored() -> None:
    """A deployment can leave a variable out by giving it no value."""
    empty = {variable: "" for variable, _ in VARIABLES.values()}
    assert WorkerSettings.from_env(empty | GROUP) == WorkerSettings("g")
    assert WorkerSettings.from_env(GROUP) == WorkerSettings("g")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"GROUP_ID": ""}, "KAFKA_BRIDGE_GROUP_ID is not set: set it to the name of"),
        ({"CONCURRENCY": "many"}, "KAFKA_BRIDGE_CONCURRENCY must be a whole number, not 'many'"),
        ({"CONCURRENCY": "1.5"}, "KAFKA_BRIDGE_CONCURRENCY must be a whole number, not '1.5'"),
        ({"CONCURRENCY": "0"}, "concurrency must be at least 1, not 0"),
        ({"GRACE_SECONDS": "a"}, "KAFKA_BRIDGE_GRACE_SECONDS must be a number, not 'a'"),
        ({"GRACE_SECONDS": "-1"}, "grace must be 0 s or more, and finite, not -1.0 s"),
        ({"GRACE_SECONDS": "nan"}, "grace must be 0 s or more, and finite, not nan s"),
        ({"GRACE_SECONDS": "inf"}, "grace must be 0 s or more, and finite, not inf s"),
        ({"MAX_DELIVERIES": "0"}, "max_deliveries must be at least 1, not 0"),
        ({"METRICS_PORT": "65536"}, "metrics_port must be between 0 and 65535, not 65536"),
        ({"METRICS_PORT": "http"}, "KAFKA_BRIDGE_METRICS_PORT must be a whole number, not 'http'"),
        ({"PROCESSES": "0"}, "processes must be at least 1, not 0"),
        ({"KILL_AFTER_SECONDS": "-1"}, "kill_after must be 0 s or more, and finite, not -1.0 s"),
        ({"TIME_LIMIT_SECONDS": "0"}, "time_limit must be greater than 0 s, not 0.0 s"),
        ({"TIME_LIMIT_SECONDS": "nan"}, "time_limit must be greater than 0 s, not nan s"),
        ({"MAX_JOBS_PER_PROCESS": "0"}, "max_jobs_per_process must be at least 1, not 0"),
        (
            {"MAX_MEMORY_PER_PROCESS": "much"},
            "MAX_MEMORY_PER_PROCESS must be a number of bytes, or text such as 512MiB or 2GiB",
        ),
        ({"JOB_LOG": "maybe"}, "KAFKA_BRIDGE_JOB_LOG must be on or off, not 'maybe'"),
        ({"METRICS_PORT": "tcp://10.0.0.1:9"}, "Kubernetes sets such variables for a Service"),
    ],
)
def test_wrong_value_is_named_in_the_error(wrong: dict[str, str], words: str) -> None:
    """The error names the variable or the setting, the value, and what is allowed."""
    environ = GROUP | {f"KAFKA_BRIDGE_{name}": value for name, value in wrong.items()}
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        WorkerSettings.from_env(environ)


def test_grace_may_be_a_timedelta() -> None:
    """A duration is a timedelta or seconds, as everywhere in the public API."""
    assert WorkerSettings("g", grace=timedelta(minutes=2)).grace == 120.0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["request_topic", "response_topic", "dead_letter_topic"])
def test_empty_topic_name_is_refused(name: str) -> None:
    """The error names the topic's setting."""
    with pytest.raises(ConfigurationError, match=f"{name} must not be empty"):
        WorkerSettings("g", **{name: ""})  # type: ignore[arg-type]
