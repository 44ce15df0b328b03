"""An HTTP service on loopback whose replies a test scripts."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONGER_THAN_ANY_TIMEOUT = 3_600.0


@dataclass(frozen=True)
class Reply:
    """One reply of the service.

    :ivar hangs_up: close the connection instead
    :ivar is_silent: never reply: the timeout of the client passes, without a real wait
    :ivar takes: seconds that the client sees pass before the reply, without a real wait
    :ivar holds: seconds for which the request is really held
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    is_silent: bool = False
    takes: float = 0.0
    holds: float = 0.0


@dataclass(frozen=True)
class Request:
    """One request as it arrived; ``line`` is ``METHOD /path``."""

    line: str
    headers: Mapping[str, str]
    body: Any


class ScriptedService:
    """Replies by ``METHOD /path``; the last reply of each is repeated.

    :ivar skip: moves the client's clock forward by some seconds
    """

    def __init__(self, skip: Callable[[float], None] = lambda _: None) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.reply_if: Callable[[Request], Reply | None] = lambda _: None
        self.busy = self.busiest = 0
        self._script: dict[str, list[Reply]] = {}
        self.skip = skip
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    def on(self, line: str, *replies: Reply) -> ScriptedService:
        """Script the replies to a request, in order."""
        self._script[line] = list(replies)
        return self

    def requests_for(self, line: str) -> list[Request]:
        """Return the requests of one kind."""
        return [each for each in self.requests if each.line == line]

    def reply_to(self, request: Request) -> Reply | None:
        """Return the reply to a request once it is due; None if there is none."""
        self.requests.append(request)
        reply = self.reply_if(request) or self._next_reply(request)
        if reply.is_silent:
            self.skip(LONGER_THAN_ANY_TIMEOUT)
            self._stopping.wait()
        if reply.takes:
            self.skip(reply.takes)
        with self._lock:
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        self._stopping.wait(reply.holds)
        with self._lock:
            self.busy -= 1
        return None if reply.hangs_up or reply.is_silent else reply

    def _next_reply(self, request: Request) -> Reply:
        replies = self._script.get(request.line, [Reply({"detail": "no such path"}, status=404)])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def stop(self) -> None:
        """End all requests that are held."""
        self._stopping.set()


@contextlib.contextmanager
def serving(skip: Callable[[float], None] = lambda _: None) -> Iterator[ScriptedService]:
    """Run a scripted service inside the block."""
    service = ScriptedService(skip)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise the body waits 40 ms for the acknowledgement of the headers.
        disable_nagle_algorithm = True

        def do(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length", 0)))
            line, headers = f"{self.command} {self.path}", dict(self.headers.items())
            request = Request(line, headers, json.loads(data) if data else None)
            reply = service.reply_to(request)
            if reply is None:
                self.close_connection = True
            else:
                self.send(reply)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815  the library's names

        def send(self, reply: Reply) -> None:
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has left
                self.send_response(reply.status)
                if "content-type" not in reply.headers:
                    self.send_header("content-type", "application/json")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        server.shutdown()
        thread.join()
        server.server_close()
