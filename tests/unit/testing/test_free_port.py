"""Ports for brokers."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kafka_bridge.testing.brokers import ports

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which something listens is passed over."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        free = ports.free_port()
        offered: Iterator[int] = iter([number, number, free])
        monkeypatch.setattr("random.randint", lambda _first, _last: next(offered))
        assert ports.free_port() == free


def test_clients_are_never_given_a_brokers_port() -> None:
    """A stopped broker's port lies below those that outgoing connections are given."""
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not ephemeral.exists():
        pytest.skip("no Linux")
    assert int(ephemeral.read_text().split()[0]) > ports.LAST
