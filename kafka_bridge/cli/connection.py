"""Addresses and ports on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kafka_bridge.kafka.clients import check_properties
from kafka_bridge.kafka.config import ENV_BOOTSTRAP, KafkaConfig, environment_settings
from kafka_bridge.kafka.properties_file import read_properties
from kafka_bridge.protocol.errors import ConfigurationError

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
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A file of librdkafka's properties, name=value in each line. They come before "
        "variables; --bootstrap-servers comes before the file.",
    ),
]


def kafka_config(servers: str | None, file: Path | None) -> KafkaConfig:
    """Return the environment's configuration, with what a file and an option set.

    :param servers: the addresses, from the option or from its variable
    :param file: a file of properties; None if there is none
    :raises ConfigurationError: nothing names addresses; the file is invalid; or librdkafka does not
        know a property in it, or refuses its value
    """
    if file is None:
        return KafkaConfig.from_env({**os.environ, ENV_BOOTSTRAP: servers or ""})
    return KafkaConfig(settings_with(file, servers, environment_settings(os.environ)))


def settings_with(file: Path, servers: str | None, others: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the properties of a file, and with these addresses.

    :param servers: from the option, or from its variable, which does not come before the file
    :param others: what counts where the file says nothing
    :raises ConfigurationError: as :func:`kafka_config`
    """
    properties: dict[str, Any] = read_properties(file)
    is_option = bool(servers) and servers != os.environ.get(ENV_BOOTSTRAP)
    if servers and (is_option or "bootstrap.servers" not in properties):
        properties["bootstrap.servers"] = servers
    settings = {**others, **properties}
    try:
        check_properties(KafkaConfig(settings))
    except ConfigurationError as error:
        raise ConfigurationError(f"--config {file}: {error}") from error
    return settings


def port(least: int) -> Callable[[str], int]:
    """Return a parser for a port number that is at least ``least``.

    The range that typer writes into the help would leave no room for the names of variables.
    """

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= LAST_PORT:
            raise typer.BadParameter(f"expected a port from {least} to {LAST_PORT}, not {text!r}")
        return int(text)

    return parse
