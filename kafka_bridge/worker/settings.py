"""What a worker is set to, and the environment variables that set it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.topics import CONTROL_TOPIC, DEAD_LETTER_TOPIC, REQUEST_TOPIC

GRACE_SECONDS = 30.0
MAX_DELIVERIES = 5
"""A job that so many workers picked up and none finished is taken for what kills them."""
ALL_INTERFACES = "0.0.0.0"  # noqa: S104  who asks for metrics and health is on another host
MOST_PORTS = 65_535


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """All that an operator may set of a worker, but for Kafka's own properties.

    ``grace``: seconds that running jobs get when the worker is told to stop. ``worker_id``: None
    makes one of host, process and chance. ``metrics_port``: None opens none, 0 opens any that is
    free. ``metrics_host``: the address that it is opened on.

    :raises ConfigurationError: a value makes no sense
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

    def __post_init__(self) -> None:
        if not self.group_id:
            raise ConfigurationError("a worker needs a group_id: the name of its consumer group")
        for name in ("request_topic", "dead_letter_topic", "control_topic", "metrics_host"):
            if not getattr(self, name):
                raise ConfigurationError(f"{name} must not be empty")
        for name in ("concurrency", "max_deliveries"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.grace < math.inf:
            raise ConfigurationError(
                f"grace must be a number of seconds from 0 on, not {self.grace}"
            )
        if self.metrics_port is not None and not 0 <= self.metrics_port <= MOST_PORTS:
            raise ConfigurationError(
                f"metrics_port must be a port, 0 to {MOST_PORTS}, not {self.metrics_port}"
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> WorkerSettings:
        """Return what the environment sets; :data:`VARIABLES` has the names.

        A variable that is empty is as good as not set: so deployments leave one out.

        :raises ConfigurationError: the group is missing, or a value is no number or makes no sense
        """
        if not environ.get(GROUP):
            raise ConfigurationError(
                f"{GROUP} is not set: the name of this service's consumer group"
            )
        return cls(
            **{
                name: _parsed(variable, environ[variable], kind)
                for name, (variable, kind) in VARIABLES.items()
                if environ.get(variable)
            }
        )


GROUP = "KAFKA_BRIDGE_GROUP_ID"
VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "group_id": (GROUP, str),
    "request_topic": ("KAFKA_BRIDGE_REQUEST_TOPIC", str),
    "dead_letter_topic": ("KAFKA_BRIDGE_DEAD_LETTER_TOPIC", str),
    "control_topic": ("KAFKA_BRIDGE_CONTROL_TOPIC", str),
    "concurrency": ("KAFKA_BRIDGE_CONCURRENCY", int),
    "grace": ("KAFKA_BRIDGE_GRACE_SECONDS", float),
    "max_deliveries": ("KAFKA_BRIDGE_MAX_DELIVERIES", int),
    "worker_id": ("KAFKA_BRIDGE_WORKER_ID", str),
    "metrics_port": ("KAFKA_BRIDGE_METRICS_PORT", int),
    "metrics_host": ("KAFKA_BRIDGE_METRICS_HOST", str),
}
"""By setting, the variable that sets it and what its text is made into."""


def _parsed(variable: str, text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        whole = "whole number" if kind is int else "number"
        hint = ""
        if text.startswith("tcp://"):
            hint = (
                ". Kubernetes sets such variables for a Service of that name: set "
                "enableServiceLinks: false in the pod, or name the Service otherwise"
            )
        raise ConfigurationError(f"{variable} must be a {whole}, not {text!r}{hint}") from error
