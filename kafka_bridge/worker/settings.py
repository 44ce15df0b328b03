"""The settings of a worker, from the program or else from the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ByteSize, TypeAdapter

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.topics import (
    CONTROL_TOPIC,
    DEAD_LETTER_TOPIC,
    REQUEST_TOPIC,
    RESPONSE_TOPIC,
)
from kafka_bridge.worker.durations import in_seconds, kill_seconds, limit_seconds
from kafka_bridge.worker.log_levels import EXPECTED, OFF, forwarded_level, level_name

GRACE_SECONDS = 30.0
MAX_DELIVERIES = 5
"""A job that this many workers started without finishing it probably kills them."""
KILL_AFTER_SECONDS = 10.0
"""How long a handler in a process may take to stop before its process is killed."""
ALL_INTERFACES = "0.0.0.0"  # noqa: S104  probes and scrapes come from other hosts
HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """All settings of a worker, except Kafka's own properties.

    :param grace: seconds that running jobs get to finish after SIGTERM; a timedelta is converted
    :param worker_id: None makes one of hostname, process id and a random suffix
    :param metrics_port: None opens no port, 0 opens any free one
    :param metrics_host: the address that the port is opened on
    :param response_topic: where most events of this service go; each request names its own topic
    :param job_log: whether the start and the end of each job are logged
    :param processes: how many jobs run at a time in child processes, of handlers with
        ``process=True``
    :param kill_after: seconds from a stop request until the process of a handler is killed
    :param max_jobs_per_process: a child process is replaced after so many jobs
    :param max_memory_per_process: bytes, or text such as ``2GiB``, that a child process may hold
    :param time_limit: seconds that a job may run, unless its handler says otherwise
    :param forward_logs: from which level on the log lines of jobs reach their tasks' logs, unless
        their handler says otherwise: the name of a level, or ``OFF``
    :raises ConfigurationError: a value is not possible
    """

    group_id: str
    request_topic: str = REQUEST_TOPIC
    dead_letter_topic: str = DEAD_LETTER_TOPIC
    control_topic: str = CONTROL_TOPIC
    concurrency: int = 1
    grace: float = GRACE_SECONDS
    max_deliveries: int = MAX_DELIVERIES
    worker_id: str | None = None
    metrics_port: int | None = None
    metrics_host: str = ALL_INTERFACES
    response_topic: str = RESPONSE_TOPIC
    job_log: bool = True
    processes: int = 1
    kill_after: float = KILL_AFTER_SECONDS
    max_jobs_per_process: int | None = None
    max_memory_per_process: int | None = None
    time_limit: float | None = None
    forward_logs: str = OFF

    def __post_init__(self) -> None:
        if not self.group_id:
            raise ConfigurationError(
                "a worker needs a group_id, the name of its consumer group: "
                f"set Worker(group_id=…), or {GROUP}"
            )
        for name in (
            "request_topic",
            "dead_letter_topic",
            "control_topic",
            "metrics_host",
            "response_topic",
        ):
            if not getattr(self, name):
                raise ConfigurationError(f"{name} must not be empty")
        self._check_numbers()
        object.__setattr__(self, "grace", in_seconds(self.grace))
        if not 0 <= self.grace < math.inf:
            raise ConfigurationError(f"grace must be 0 s or more, and finite, not {self.grace} s")
        object.__setattr__(self, "kill_after", kill_seconds(self.kill_after))
        object.__setattr__(self, "time_limit", limit_seconds(self.time_limit))
        object.__setattr__(self, "forward_logs", forwarded_level(self.forward_logs))
        self._convert_memory(self.max_memory_per_process)
        if self.metrics_port is not None and not 0 <= self.metrics_port <= HIGHEST_PORT:
            raise ConfigurationError(
                f"metrics_port must be between 0 and {HIGHEST_PORT}, not {self.metrics_port}"
            )

    def _check_numbers(self) -> None:
        for name in ("concurrency", "max_deliveries", "processes", "max_jobs_per_process"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {number}")

    def _convert_memory(self, value: int | str | None) -> None:
        try:
            size = None if value is None else _size(value)
            object.__setattr__(self, "max_memory_per_process", size)
        except ValueError:
            raise ConfigurationError(
                f"max_memory_per_process must be {_SIZE}, not {value!r:.100}"
            ) from None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> WorkerSettings:
        """Return the settings of the environment; :data:`VARIABLES` has the names.

        Empty variables are ignored: a deployment can leave one out that way.

        :param environ: by default the process's own
        :raises ConfigurationError: the group is missing, or a value is not possible
        """
        environ = os.environ if environ is None else environ
        if not environ.get(GROUP):
            raise ConfigurationError(
                f"{GROUP} is not set: set it to the name of this service's consumer group"
            )
        return cls.given({}, environ)

    @classmethod
    def given(
        cls, given: Mapping[str, Any], environ: Mapping[str, str] | None = None
    ) -> WorkerSettings:
        """Return the settings of a program; the environment sets those that the program does not.

        :param given: values by setting; None means that the program does not set it
        :param environ: by default the process's own
        :raises ConfigurationError: no group is set, or a value is not possible
        """
        environ = os.environ if environ is None else environ
        values = {name: value for name, value in given.items() if value is not None}
        for name, (variable, _) in VARIABLES.items():
            if name not in values and environ.get(variable):
                values[name] = parsed(variable, environ[variable])
        return cls(**({"group_id": ""} | values))


_SIZE = "a number of bytes, or text such as 512MiB or 2GiB"


def _size(value: Any) -> int:
    """Return a number of bytes, or a text such as ``2GiB``, as a number.

    :raises ValueError: it is neither, or below 1
    """
    found = TypeAdapter(ByteSize).validate_python(value)  # a ValidationError is a ValueError
    if found < 1:
        raise ValueError(value)
    return int(found)


def _whole_number(text: str) -> int:
    return int(text)


def _number(text: str) -> float:
    return float(text)


def _switch(text: str) -> bool:
    return {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}[
        text.lower()
    ]


GROUP = "KAFKA_BRIDGE_GROUP_ID"
VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "group_id": (GROUP, str),
    "request_topic": ("KAFKA_BRIDGE_REQUEST_TOPIC", str),
    "dead_letter_topic": ("KAFKA_BRIDGE_DEAD_LETTER_TOPIC", str),
    "control_topic": ("KAFKA_BRIDGE_CONTROL_TOPIC", str),
    "concurrency": ("KAFKA_BRIDGE_CONCURRENCY", _whole_number),
    "grace": ("KAFKA_BRIDGE_GRACE_SECONDS", _number),
    "max_deliveries": ("KAFKA_BRIDGE_MAX_DELIVERIES", _whole_number),
    "worker_id": ("KAFKA_BRIDGE_WORKER_ID", str),
    "metrics_port": ("KAFKA_BRIDGE_METRICS_PORT", _whole_number),
    "metrics_host": ("KAFKA_BRIDGE_METRICS_HOST", str),
    "response_topic": ("KAFKA_BRIDGE_RESPONSE_TOPIC", str),
    "job_log": ("KAFKA_BRIDGE_JOB_LOG", _switch),
    "processes": ("KAFKA_BRIDGE_PROCESSES", _whole_number),
    "kill_after": ("KAFKA_BRIDGE_KILL_AFTER_SECONDS", _number),
    "max_jobs_per_process": ("KAFKA_BRIDGE_MAX_JOBS_PER_PROCESS", _whole_number),
    "max_memory_per_process": ("KAFKA_BRIDGE_MAX_MEMORY_PER_PROCESS", _size),
    "time_limit": ("KAFKA_BRIDGE_TIME_LIMIT_SECONDS", _number),
    "forward_logs": ("KAFKA_BRIDGE_FORWARD_LOGS", level_name),
}
"""For each setting, its variable and the function that converts the variable's text."""

_EXPECTED: Mapping[Callable[[str], Any], str] = {
    _whole_number: "a whole number",
    _number: "a number",
    _switch: "on or off",
    _size: _SIZE,
    level_name: EXPECTED,
}


def parsed(variable: str, text: str) -> Any:
    """Return the text of one of :data:`VARIABLES` as a value.

    :raises ConfigurationError: the text is not such a value
    """
    kind = next(kind for name, kind in VARIABLES.values() if name == variable)
    try:
        return kind(text)
    except (ValueError, KeyError) as error:
        hint = ""
        if text.startswith("tcp://"):
            hint = (
                ". Kubernetes sets such variables for a Service of that name: set "
                "enableServiceLinks: false in the pod, or rename the Service"
            )
        raise ConfigurationError(
            f"{variable} must be {_EXPECTED[kind]}, not {text!r:.100}{hint}"
        ) from error
