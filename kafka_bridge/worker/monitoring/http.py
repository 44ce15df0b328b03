"""A worker's port for those who watch it: metrics, liveness and readiness. Needs ``metrics``."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.monitoring.observer import WorkerStatus
from kafka_bridge.worker.monitoring.prometheus import PrometheusObserver

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)
_errors = bounded_logger(f"{__name__}.errors")

LIVE_SECONDS = 60.0
"""A consumer polls many times a second. One that has not for so long is stuck: Kafka itself gives
a worker up later, after ``max.poll.interval.ms``, 300 s by default."""
CLIENT_SECONDS = 10.0
"""How long a connection may be open, from its acceptance to the end of its answer."""
STOP_SECONDS = 0.1
MOST_CONNECTIONS = 32
"""Probes and scrapes need two or three. Each has a thread and a file descriptor."""


@contextlib.contextmanager
def serve(
    status: Callable[[], WorkerStatus], observer: PrometheusObserver, port: int, host: str
) -> Iterator[int]:
    """Answer ``/metrics``, ``/health/live`` and ``/health/ready`` inside the block; give the port.

    :param status: asked at each request, on a thread of its own; must return at once
    :param port: 0 takes one that is free
    :param host: the address to listen on
    :raises ConfigurationError: the port is taken, or cannot be opened there
    """
    application = _application(status, observer.application())
    with _open(port, host, application) as server, observer.watching(status):
        thread = threading.Thread(
            target=server.serve_forever, args=(STOP_SECONDS,), name="kafka-bridge-http", daemon=True
        )
        thread.start()
        _log.info("Metrics and health on %s port %d", host, server.server_port)
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _live(status: WorkerStatus) -> str | None:
    """Return why the worker should be started anew, None where it should not."""
    if status.seconds_since_poll <= LIVE_SECONDS:
        return None
    return f"the consumer last polled {status.seconds_since_poll:.0f} s ago"


def _ready(status: WorkerStatus) -> str | None:
    """Return why the worker does not take jobs, None where it does."""
    return None if status.ready else "not in its group yet, or still learning what has ended"


_PROBES = {"/health/live": _live, "/health/ready": _ready}


def _application(status: Callable[[], WorkerStatus], metrics: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            try:
                return metrics(environ, start_response)
            except Exception:
                _errors.exception("The metrics could not be collected")
                return _say(start_response, "500 Internal Server Error", "see the worker's log")
        if path not in _PROBES:
            return _say(start_response, "404 Not Found", "/metrics, " + ", ".join(_PROBES))
        if environ["REQUEST_METHOD"] != "GET":
            return _say(start_response, "405 Method Not Allowed", "GET only")
        trouble = _PROBES[path](status())
        if trouble is None:
            return _say(start_response, "200 OK", "ok")
        return _say(start_response, "503 Service Unavailable", trouble)

    return answer


def _say(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


def _open(port: int, host: str, application: WSGIApplication) -> _Server:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return _Server(family, host, port, application)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"port {port} for metrics and health cannot be opened on {host}: {error}. Choose "
            "another with --metrics-port and --metrics-host, or KAFKA_BRIDGE_METRICS_PORT and "
            "KAFKA_BRIDGE_METRICS_HOST"
        ) from error


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def get_stderr(self) -> TextIO:
        """Keep wsgiref's tracebacks of clients that went away; the application logs its own."""
        return io.StringIO()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's own word
        _log.debug(format, *args)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """Has a thread for each connection, few of them, and none for long.

    A client may send one byte at a time, or nothing at all. Each connection has a deadline, and
    where there are too many the oldest is closed for the new one: so a probe is answered, whoever
    else is connected.
    """

    daemon_threads = True
    request_queue_size = 64
    allow_reuse_port = False  # else two workers could share one, and each seem to be the other

    def __init__(self, family: int, host: str, port: int, application: WSGIApplication) -> None:
        self.address_family = family
        self._lock = threading.Lock()
        self._opened: dict[Any, float] = {}
        super().__init__((host, port), _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        # Not the base's own, which asks DNS for this host's name, and may wait long for it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection on a thread; close the oldest where there are too many."""
        with self._lock:
            surplus = list(self._opened)[: max(0, len(self._opened) + 1 - MOST_CONNECTIONS)]
            self._opened[request] = time.monotonic()
        self._cut_off(surplus)
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Close what is open for too long; called between requests, and every 0.1 s."""
        latest = time.monotonic() - CLIENT_SECONDS
        with self._lock:
            late = [request for request, opened in self._opened.items() if opened < latest]
        self._cut_off(late)

    def _cut_off(self, requests: Iterable[Any]) -> None:
        """End connections; their threads see the end and close them."""
        for request in requests:
            with self._lock:
                self._opened.pop(request, None)
            with contextlib.suppress(OSError):  # closed meanwhile
                request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._opened.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what went wrong with a connection; a client that is gone is none of our faults."""
        error = sys.exception()
        if isinstance(error, OSError):
            _log.debug("A connection to the metrics port ended: %s", error)
        else:
            _errors.exception("A request to the metrics port failed")
