"""A port that forwards its connections, for brokers that appear after their clients."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def forwarding(port: int, target: tuple[str, int]) -> Iterator[None]:
    """Forward connections to a port of this host, as long as the block lasts."""

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(target) as other:
                ends = {self.request: other, other: self.request}
                while True:
                    for source in select.select(list(ends), [], [])[0]:
                        if not (data := source.recv(65_536)):
                            return
                        ends[source].sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", port), Forward) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
