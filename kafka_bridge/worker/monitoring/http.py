"""The HTTP port of a worker: metrics, liveness and readiness. Needs the extra ``metrics``."""

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
"""A consumer polls many times a second. One that has not polled for this long hangs: Kafka itself
removes a worker from its group later, after ``max.poll.interval.ms``, 300 s by default."""
CLIENT_SECONDS = 10.0
"""How long a connection may be open."""
STOP_SECONDS = 0.1
MAX_CONNECTIONS = 32
"""Probes and scrapes need two or three. Each has a thread and a file descriptor."""


@contextlib.contextmanager
def serve(
    status: Callable[[], WorkerStatus], observer: PrometheusObserver, port: int, host: str
) -> Iterator[int]:
    """Serve ``/metrics``, ``/health/live`` and ``/health/ready`` inside the block; yield the port.

    :param status: called for each request, on a thread of its own; must return at once
    :param port: 0 for any free port
    :param host: the address to listen on
    :raises ConfigurationError: the port is taken, or cannot be opened there
    """
    application = _application(status, observer.application())
    with _open(port, host, application) as server, observer.exporting(status):
        thread = threading.Thread(
            target=server.serve_forever, args=(STOP_SECONDS,), name="kafka-bridge-http", daemon=True
        )
        thread.start()
        _log.info("Serving metrics and health on %s port %d", host, server.server_port)
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _live(status: WorkerStatus) -> str | None:
    """Return why the worker should be restarted; None if it should not."""
    if status.seconds_since_poll <= LIVE_SECONDS:
        return None
    return f"the consumer last polled {status.seconds_since_poll:.0f} s ago"


def _ready(status: WorkerStatus) -> str | None:
    """Return why the worker does not accept jobs; None if it does."""
    return None if status.ready else "not in its group yet, or still reading the response topic"


_PROBES = {"/health/live": _live, "/health/ready": _ready}


def _application(status: Callable[[], WorkerStatus], metrics: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            try:
                return metrics(environ, start_response)
            except Exception:
                _errors.exception("Collecting the metrics failed")
                return _reply(start_response, "500 Internal Server Error", "see the worker's log")
        if path not in _PROBES:
            return _reply(start_response, "404 Not Found", "/metrics, " + ", ".join(_PROBES))
        if environ["REQUEST_METHOD"] != "GET":
            return _reply(start_response, "405 Method Not Allowed", "GET only")
        trouble = _PROBES[path](status())
        if trouble is None:
            return _reply(start_response, "200 OK", "ok")
        return _reply(start_response, "503 Service Unavailable", trouble)

    return answer


def _reply(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


def _open(port: int, host: str, application: WSGIApplication) -> _Server:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return _Server(family, host, port, application)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"port {port} for metrics and health cannot be opened on {host}: {error}. Choose "
            "another one with --metrics-port and --metrics-host, or KAFKA_BRIDGE_METRICS_PORT and "
            "KAFKA_BRIDGE_METRICS_HOST"
        ) from error


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def get_stderr(self) -> TextIO:
        """Drop wsgiref's tracebacks of closed connections; the application logs its own errors."""
        return io.StringIO()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's own word
        _log.debug(format, *args)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """Serves each connection on a thread, with a limit on their number and on their time.

    A client may send one byte at a time, or nothing. So each connection has a deadline, and where
    there are too many, the oldest one is closed for the new one: a probe is always answered.
    """

    daemon_threads = True
    request_queue_size = 64
    allow_reuse_port = False  # else two workers could share a port, and a probe would reach either

    def __init__(self, family: int, host: str, port: int, application: WSGIApplication) -> None:
        self.address_family = family
        self._lock = threading.Lock()
        self._opened: dict[Any, float] = {}
        super().__init__((host, port), _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        # Not the base class's own: it asks DNS for this host's name, which may take long.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread; close the oldest one if there are too many."""
        with self._lock:
            surplus = list(self._opened)[: max(0, len(self._opened) + 1 - MAX_CONNECTIONS)]
            self._opened[request] = time.monotonic()
        self._close_all(surplus)
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Close connections that are open for too long; called every 0.1 s."""
        latest = time.monotonic() - CLIENT_SECONDS
        with self._lock:
            late = [request for request, opened in self._opened.items() if opened < latest]
        self._close_all(late)

    def _close_all(self, requests: Iterable[Any]) -> None:
        """Shut connections down; their threads notice it and close them."""
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
        """Log the error of a connection; a closed one is not an error of this worker."""
        error = sys.exception()
        if isinstance(error, OSError):
            _log.debug("A connection to the port for metrics and health ended: %s", error)
        else:
            _errors.exception("A request to the port for metrics and health failed")
