"""Free ports of 127.0.0.1."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 15_000, 32_000
"""These stay free while a broker is down for a moment. They are below the range that Linux, macOS
and Windows hand out to outgoing connections: a client that keeps trying a stopped broker's port
could otherwise be given that very port and hold it."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 on which no process listens.

    Another process may take it before it is used, so be ready to ask again.
    """
    while True:
        port = random.randint(FIRST, LAST)  # noqa: S311  no secret
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Return whether a process could listen on a TCP port of 127.0.0.1 now."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
