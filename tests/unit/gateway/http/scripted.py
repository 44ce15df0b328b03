"""An HTTP service on loopback that answers what a test has written down, in that order."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Says:
    """One answer. ``hangs``: seconds before it; ``hangs_up``: close the connection instead."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: float = 0.0
    hangs_up: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    line: str
    headers: Mapping[str, str]
    body: Any


class Scripted:
    """Answers by ``METHOD /path``; the last answer of each holds from then on."""

    def __init__(self) -> None:
        self.script: dict[str, list[Says]] = {}
        self.asked: list[Asked] = []
        self.answer_if: Callable[[Asked], Says | None] = lambda _: None
        self.url = ""
        self.stopping = threading.Event()
        self.busy = self.busiest = 0
        self.lock = threading.Lock()

    def on(self, line: str, *answers: Says) -> Scripted:
        """Answer a request so: first with the first of these, and so on."""
        self.script[line] = list(answers)
        return self

    def requests(self, line: str) -> list[Asked]:
        """Return the requests of that kind."""
        return [each for each in self.asked if each.line == line]

    def next_answer(self, asked: Asked) -> Says:
        """Return how to answer a request."""
        if (says := self.answer_if(asked)) is not None:
            return says
        line = asked.line
        answers = self.script.get(line, [Says({"detail": "no such path"}, status=404)])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextlib.contextmanager
def serving() -> Iterator[Scripted]:
    """Serve a script inside the block."""
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            line = f"{self.command} {self.path}"
            data = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = Asked(line, dict(self.headers.items()), json.loads(data) if data else None)
            script.asked.append(asked)
            says = script.next_answer(asked)
            with script.lock:
                script.busy += 1
                script.busiest = max(script.busiest, script.busy)
            script.stopping.wait(says.hangs)
            with script.lock:
                script.busy -= 1
            if says.hangs_up:
                self.close_connection = True
                return
            self.answer(says)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815  the library's names

        def answer(self, says: Says) -> None:
            body = says.body if isinstance(says.body, bytes) else json.dumps(says.body).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it waits no longer
                self.send_response(says.status)
                if "content-type" not in says.headers:
                    self.send_header("content-type", "application/json")
                for name, value in says.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        script.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
