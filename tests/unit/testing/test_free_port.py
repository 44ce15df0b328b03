"""Ports for brokers."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kafka_bridge.testing import ports

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_port_in_use_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which a process listens is skipped."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        free = ports.free_port()
        offered: Iterator[int] = iter([number, number, free])
        monkeypatch.setattr("random.randint", lambda _first, _last: next(offered))
        assert ports.free_port() == free


def test_ports_of_brokers_are_not_ports_of_clients() -> None:
    """The system gives outgoing connections higher ports, so a stopped broker's port stays free."""
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not ephemeral.exists():
        pytest.skip("no Linux")
    assert int(ephemeral.read_text().split()[0]) > ports.LAST
