"""A worker's port for those who watch it: metrics, liveness and readiness. Needs ``metrics``."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.observation import WorkerStatus
from kafka_bridge.worker.prometheus import PrometheusObserver

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

LIVE_SECONDS = 60.0
"""A consumer polls many times a second. One that has not for so long is stuck: Kafka itself gives
a worker up later, after ``max.poll.interval.ms``, 300 s by default."""
CLIENT_SECONDS = 10.0
"""How long a client may take to say what it wants."""
STOP_SECONDS = 0.1


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
            return metrics(environ, start_response)
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

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's own word
        _log.debug(format, *args)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64
    allow_reuse_port = False  # else two workers could share one, and each seem to be the other

    def __init__(self, family: int, host: str, port: int, application: WSGIApplication) -> None:
        self.address_family = family
        super().__init__((host, port), _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        # Not the base's own, which asks DNS for this host's name, and may wait long for it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()
