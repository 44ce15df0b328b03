"""Addresses and ports on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from kafka_bridge.kafka.config import ENV_BOOTSTRAP, KafkaConfig

LAST_PORT = 65_535

BootstrapServers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        envvar=ENV_BOOTSTRAP,
        metavar="HOST:PORT,…",
        help="Kafka's addresses. Other properties of librdkafka have variables: "
        "KAFKA_BRIDGE_KAFKA_SASL_USERNAME sets sasl.username.",
    ),
]


def kafka_config(servers: str | None) -> KafkaConfig:
    """Return the environment's configuration, with these addresses if they are given.

    :raises ConfigurationError: neither the option nor the environment has addresses
    """
    return KafkaConfig.from_env({**os.environ, ENV_BOOTSTRAP: servers or ""})


def port(least: int) -> Callable[[str], int]:
    """Return a parser for a port number that is at least ``least``.

    The range that typer writes into the help would leave no room for the names of variables.
    """

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= LAST_PORT:
            raise typer.BadParameter(f"expected a port from {least} to {LAST_PORT}, not {text!r}")
        return int(text)

    return parse
