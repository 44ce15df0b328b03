"""Whether addresses accept connections, and why not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from kafka_bridge.findings import Finding, Level
from kafka_bridge.kafka.admin.checkup import network
from kafka_bridge.kafka.admin.checkup.network import Reached, advertised_addresses
from kafka_bridge.testing.ports import free_port

PLENTY = 60.0


@pytest.fixture
def open_port() -> Iterator[int]:
    """Give a port of this machine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def look(servers: str) -> tuple[bool, list[Finding]]:
    """Return whether one of the servers was reached, and the findings."""
    reached = Reached(servers)
    findings = list(reached.check(PLENTY))
    return reached.any, findings


def test_open_port_is_reached(open_port: int) -> None:
    """With the protocol's prefix, as librdkafka accepts it."""
    is_reached, (finding,) = look(f"PLAINTEXT://127.0.0.1:{open_port}")
    assert is_reached
    assert finding == Finding(Level.OK, f"127.0.0.1:{open_port}: accepts connections")


def test_closed_port_is_an_error_that_says_to_start_the_broker() -> None:
    """The only server."""
    port = free_port()
    is_reached, (finding,) = look(f"127.0.0.1:{port}")
    assert not is_reached
    assert finding.level is Level.ERROR
    assert finding.text == f"127.0.0.1:{port}: Connection refused"
    assert finding.advice == "Start the broker, or correct the port in 'bootstrap.servers'."


def test_one_server_of_several_is_enough(open_port: int) -> None:
    """The others are warnings."""
    closed = free_port()
    is_reached, findings = look(f"127.0.0.1:{closed},127.0.0.1:{open_port}")
    assert is_reached
    assert [each.level for each in findings] == [Level.WARNING, Level.OK]
    assert str(closed) in findings[0].text


def test_name_without_an_address_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is about the name."""

    def refuse(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)
    _, (finding,) = look("kafka.nowhere:9092")
    assert finding.text == "kafka.nowhere:9092: the name has no address (Name or service not known)"
    assert finding.advice == "Correct the name in 'bootstrap.servers', or this machine's DNS."


def test_look_up_of_a_name_that_takes_too_long_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A resolver may take half a minute; a connection has no timeout for it."""
    end = threading.Event()

    def connect(*_: object) -> None:
        end.wait(PLENTY)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(network, "CONNECT_SECONDS", 0.05)
    try:
        _, (finding,) = look("kafka.slow:9092")
    finally:
        end.set()
    assert finding.text == "kafka.slow:9092: no answer within 0.05 s"
    assert "firewall" in finding.advice


@pytest.mark.parametrize("servers", ["kafka:port", ":", ","])
def test_text_without_an_address_is_an_error(servers: str) -> None:
    """It is shown as it was given."""
    is_reached, findings = look(servers)
    assert not is_reached
    assert findings[0].level is Level.ERROR


def test_advertised_address_that_cannot_be_reached_is_an_error(open_port: int) -> None:
    """A client that reached a bootstrap server would still not work."""
    closed = free_port()
    good, bad = f"127.0.0.1:{open_port}", f"127.0.0.1:{closed}"
    (finding,) = advertised_addresses([good, bad], PLENTY)
    assert finding.level is Level.ERROR
    assert finding.text == (
        f"a broker tells clients to connect to {bad}, and from here: Connection refused"
    )
    assert "advertised.listeners" in finding.advice
    (finding,) = advertised_addresses([good], PLENTY)
    assert finding == Finding(Level.OK, f"{good}: accepts connections")
