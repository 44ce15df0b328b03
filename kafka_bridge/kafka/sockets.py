"""Connections of our own to a broker's listener, beside librdkafka's. No credentials are sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

CONNECT_SECONDS = 2.0


def addresses(servers: str) -> Iterator[tuple[str, int]]:
    """Yield host and port of each server in a ``bootstrap.servers``, as librdkafka reads it."""
    for each in servers.split(","):
        host, _, port = each.strip().rpartition("://")[2].rpartition(":")
        if not host:
            host, port = port, "9092"  # librdkafka's default
        if port.isdecimal():
            yield host.strip("[]"), int(port)


def tls_context(*, check: bool) -> ssl.SSLContext:
    """Return a client's side of TLS.

    :param check: whether the broker's certificate is checked. Without that, send no secret
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def connected(host: str, port: int, context: ssl.SSLContext | None) -> Iterator[socket.socket]:
    """Connect to a listener, inside the block.

    :param context: of TLS; None: without TLS
    :raises OSError: no connection within :data:`CONNECT_SECONDS`, or the handshake failed
    """
    with socket.create_connection((host, port), CONNECT_SECONDS) as plain:
        if context is None:
            yield plain
        else:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                yield secured


def received(connection: socket.socket, size: int) -> bytes:
    """Return the next bytes.

    :raises OSError: the connection was closed, or nothing came
    """
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("the connection was closed")
        data += part
    return data
