"""``kafka-bridge board``."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from kafka_bridge.board.access import (
    LOOPBACK_NAMES,
    SHORTEST_TOKEN,
    AccessOf,
    TokenAccess,
    full_access,
    is_loopback,
)
from kafka_bridge.board.app import create_board
from kafka_bridge.board.source import KafkaJobs
from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config, port
from kafka_bridge.cli.durations import duration
from kafka_bridge.cli.monitored import Control, DeadLetters, Responses, Topics, monitored_topics
from kafka_bridge.logs import LogFormat, LogLevel, set_up_logging
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import ConfigurationError

app = App()

TOKEN_VARIABLE = "KAFKA_BRIDGE_BOARD_TOKEN"  # noqa: S105  the name of a variable
STOP_SECONDS = 5
"""How long a stop waits for answers that are on their way."""


@app.command()
def board(
    topics: Topics = None,
    responses: Responses = None,
    control: Control = default.CONTROL_TOPIC,
    dead_letters: DeadLetters = None,
    since: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="DURATION", help="How far back jobs are read."),
    ] = "24h",  # type: ignore[assignment]
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on.")
    ] = "127.0.0.1",
    port_: Annotated[
        int,
        typer.Option(
            "--port", parser=port(0), metavar="PORT", help="The port; 0 chooses a free one."
        ),
    ] = "8088",  # type: ignore[assignment]
    prefix: Annotated[
        str, typer.Option(metavar="PATH", help="The path of the page, if a proxy keeps one: /jobs.")
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"A file with the token that visitors need, instead of {TOKEN_VARIABLE}.",
        ),
    ] = None,
    trust_proxy_auth: Annotated[
        bool,
        typer.Option(
            "--trust-proxy-auth",
            help="Ask for no login: a proxy in front of the port does.",
        ),
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Show the jobs of services on a page, until Ctrl-C.

    On 127.0.0.1 there is no login: every user of this machine can see the jobs, cancel them and
    replay dead letters. On another address the page needs a token, or a proxy that asks for a
    login.
    """
    set_up_logging(LogLevel.WARNING, LogFormat.TEXT)
    token = _token(token_file)
    access_of, hosts = _access(host, token, trust_proxy_auth=trust_proxy_auth)
    path = _path(prefix)
    monitored = monitored_topics(topics, responses, control, dead_letters)
    config = kafka_config(bootstrap_servers, config_file)
    source = KafkaJobs(lambda: config, monitored, since)
    application = create_board(
        source, access_of, path, hosts=hosts, is_ending=lambda: server.should_exit
    )
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    with _listening(host, port_) as listener:
        typer.echo(f"The board is at {_address(listener, path)} (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has stopped, and passes it on
            server.run([listener])


def _token(file: Path | None) -> str | None:
    """Return the token of the file or else of the environment; None: there is none.

    :raises ConfigurationError: the file cannot be read, or the token is too short
    """
    if file is None:
        token, where = os.environ.get(TOKEN_VARIABLE, "").strip(), TOKEN_VARIABLE
        if not token:
            return None
    else:
        try:
            token, where = file.read_text(encoding="utf-8").strip(), f"the file {file}"
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the token cannot be read from {file}: {error}") from error
    if len(token) < SHORTEST_TOKEN:
        raise ConfigurationError(
            f"the token in {where} has fewer than {SHORTEST_TOKEN} characters and could be "
            "guessed. Make one with: openssl rand -hex 32"
        )
    return token


def _access(
    host: str, token: str | None, *, trust_proxy_auth: bool
) -> tuple[AccessOf, Collection[str] | None]:
    """Return what visitors may do, and the host names that they may use.

    :raises ConfigurationError: the address can be reached from outside, and there is no login
    """
    if token is not None and trust_proxy_auth:
        raise ConfigurationError("give either a token or --trust-proxy-auth, not both")
    if token is not None:
        return TokenAccess(token), None
    if trust_proxy_auth:
        return full_access, None
    if not is_loopback(host):
        raise ConfigurationError(
            f"anybody who reaches {host} could see the jobs and cancel them. Give the board a "
            f"token (--token-file FILE, or {TOKEN_VARIABLE}), or put a proxy with a login in front "
            "of it and add --trust-proxy-auth, or listen on 127.0.0.1"
        )
    return full_access, {*LOOPBACK_NAMES, host}


def _path(prefix: str) -> str:
    path = prefix.rstrip("/")
    if path and (not path.startswith("/") or any(each in path for each in "{}?#")):
        raise ConfigurationError(f"--prefix is a path that begins with a slash, not {prefix!r}")
    return path


def _listening(host: str, number: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, number), family=family)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {number}: {error}. Choose others with --host and --port"
        ) from error


def _address(listener: socket.socket, path: str) -> str:
    host, number = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{number}{path}/"
