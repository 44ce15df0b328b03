"""``kafka-bridge board`` refuses to start where anybody could come in."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kafka_bridge.board.access import FullAccess, TokenAccess
from kafka_bridge.cli.app import app
from kafka_bridge.cli.board import _access
from kafka_bridge.protocol.errors import ConfigurationError

TOKEN = "a-token-that-is-long-enough"


def refusal(*arguments: str, token: str = "") -> str:
    """Run the command with arguments that it refuses; return the error's text."""
    environment = {"KAFKA_BRIDGE_BOARD_TOKEN": token, "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "x:1"}
    result = CliRunner().invoke(app, ["board", "jobs.requests", *arguments], env=environment)
    assert isinstance(result.exception, ConfigurationError), result.output
    return str(result.exception)


@pytest.mark.parametrize("host", ["::", "10.0.0.1", "board.example"])
def test_open_address_without_a_login_is_refused(host: str) -> None:
    """The error says the three things that help."""
    text = refusal("--host", host)
    for each in (host, "--token-file", "KAFKA_BRIDGE_BOARD_TOKEN", "--trust-proxy-auth"):
        assert each in text


def test_short_token_is_refused(tmp_path: Path) -> None:
    """From a file or from the variable; the error says how to make one."""
    file = tmp_path / "token"
    file.write_text("short\n")
    assert "openssl rand -hex 32" in refusal("--token-file", str(file))
    assert "KAFKA_BRIDGE_BOARD_TOKEN has fewer than 16" in refusal(token="short")


def test_token_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """The board does not start without its token."""
    assert "the token cannot be read from" in refusal("--token-file", str(tmp_path / "none"))


def test_token_and_proxy_together_are_refused() -> None:
    """It would not be clear which one counts."""
    assert "not both" in refusal("--trust-proxy-auth", token=TOKEN)


@pytest.mark.parametrize("prefix", ["jobs", "/{jobs}", "/a?b"])
def test_invalid_prefix_is_refused(prefix: str) -> None:
    """The error shows it."""
    assert repr(prefix) in refusal("--prefix", prefix)


def test_port_that_is_taken_is_said() -> None:
    """The error names the options that help."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = refusal("--port", str(taken.getsockname()[1]))
    assert "Choose others with --host and --port" in text


def test_who_may_come_in_follows_from_the_address_and_the_options() -> None:
    """Without a login, only names of this machine are allowed in requests."""
    access, hosts = _access("127.0.0.1", None, trust_proxy_auth=False)
    assert access(None) == FullAccess()  # type: ignore[arg-type]
    assert hosts is not None
    assert {"localhost", "127.0.0.1"} <= set(hosts)
    access, hosts = _access("::", TOKEN, trust_proxy_auth=False)
    assert isinstance(access, TokenAccess)
    assert hosts is None
    assert _access("::", None, trust_proxy_auth=True)[1] is None
