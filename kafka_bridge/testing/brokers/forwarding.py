"""A port of this machine that forwards its connections to another one."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading

from kafka_bridge.testing.brokers.errors import BrokerStartFailed

HOST = "127.0.0.1"
CHUNK = 65_536


class ForwardedPort:
    """Listens on a port of 127.0.0.1 and forwards each connection to a target, until `close`.

    `target` is a host and a port. Raises BrokerStartFailed where another process listens on `port`.
    """

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        handler = type("Forward", (_Forward,), {"target": target})
        try:
            self._server = _Server((HOST, port), handler)
        except OSError as error:
            raise BrokerStartFailed(f"cannot listen on {HOST}:{port}: {error.strerror}") from error
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections. Open ones last until an end closes them."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


class _Forward(socketserver.BaseRequestHandler):
    target: tuple[str, int]

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self.target) as other:
            ends = {self.request: other, other: self.request}
            while True:
                for source in select.select(list(ends), [], [])[0]:
                    if not (data := source.recv(CHUNK)):
                        return
                    ends[source].sendall(data)
