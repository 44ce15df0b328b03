"""Warnings about variables that have no effect: overridden by the program, or misspelt."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kafka_bridge.kafka.config import ENV_BOOTSTRAP, ENV_PREFIX, ENV_READER_PREFIX, KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.sanitize import NAME_BYTES, one_line
from kafka_bridge.worker.settings import VARIABLES, WorkerSettings, parsed

PREFIX = "KAFKA_BRIDGE_"
_OF_OTHERS = (
    "KAFKA_BRIDGE_BOARD_TOKEN",
    "KAFKA_BRIDGE_CACHE",
    "KAFKA_BRIDGE_CONFORMANCE_ENCODING",
    "KAFKA_BRIDGE_CONFORMANCE_NOTES",
    "KAFKA_BRIDGE_TEST_BOOTSTRAP",
    "KAFKA_BRIDGE_TEST_DEMO",
)
"""Used by the board, by kafka_bridge.testing, kafka_bridge.conformance and the tests."""
KNOWN = (
    ENV_BOOTSTRAP,
    ENV_READER_PREFIX,
    *(variable for variable, _ in VARIABLES.values()),
    "KAFKA_BRIDGE_LOG_LEVEL",
    "KAFKA_BRIDGE_LOG_FORMAT",
    *_OF_OTHERS,
)
_SERVICE_LINK = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$"
)
"""Variables that Kubernetes sets in a pod for a Service with the name kafka-bridge."""


def unused_variables(
    settings: WorkerSettings, kafka: Mapping[str, Any] | None, environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield a warning for each variable of kafka-bridge that has no effect on this worker.

    :param settings: the settings that the worker uses
    :param kafka: the properties that the program gives; None if they are the environment's
    """
    yield from _overridden(settings, environ)
    if kafka is not None:
        yield from _overridden_properties(kafka, environ)
    yield from (_unknown(name) for name in sorted(environ) if _is_unknown(name))


def _overridden(settings: WorkerSettings, environ: Mapping[str, str]) -> Iterator[str]:
    for name, (variable, _) in VARIABLES.items():
        if not (text := environ.get(variable)):
            continue
        value = getattr(settings, name)
        try:
            is_used = parsed(variable, text) == value
        except ConfigurationError:
            is_used = False
        if not is_used:
            shown = one_line(text, NAME_BYTES)
            yield f"{variable}={shown} is not used: the program sets {name} to {value!r}"


def _overridden_properties(kafka: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    try:
        wanted = KafkaConfig.from_env(environ).settings
    except ConfigurationError:  # it names no brokers
        wanted = {}
    # Names alone: a value may be a password.
    unused = sorted(name for name, value in wanted.items() if str(kafka.get(name)) != str(value))
    if unused:
        yield (
            f"{ENV_BOOTSTRAP} and {ENV_PREFIX}… are not used: the program sets Kafka's properties "
            f"itself (kafka=…). These values differ: {', '.join(unused)}"
        )


def _is_unknown(name: str) -> bool:
    is_known = name in KNOWN or name.startswith(ENV_PREFIX) or _SERVICE_LINK.search(name)
    return name.startswith(PREFIX) and not is_known


def _unknown(name: str) -> str:
    likely = difflib.get_close_matches(name, KNOWN, 1)
    advice = f": did you mean {likely[0]}?" if likely else ""
    shown = one_line(name, NAME_BYTES)
    return f"{shown} is not a variable of kafka-bridge and has no effect{advice}"
