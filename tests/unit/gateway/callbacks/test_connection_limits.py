"""The receiver's port with slow, silent or too many clients, over real sockets."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect

from kafka_bridge.gateway.callbacks import connection_limits, server
from kafka_bridge.gateway.callbacks.connection_limits import HEAD_SECONDS
from unit.loop_time import LoopTime

HERE = "127.0.0.1"
HALF = b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-"


def health(port: int, timeout: float = 20.0) -> int:
    """Request the receiver's health; return the status code."""
    connection = HTTPConnection(HERE, port, timeout=timeout)
    connection.request("GET", "/health")
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def application() -> FastAPI:
    """Return an application that reads whole bodies."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.post("/body")
    async def body(request: Request) -> int:
        try:
            return len(await request.body())
        except ClientDisconnect:
            return 0

    return app


class Port:
    """A port of the receiver, whose time a test moves."""

    def __init__(self, number: int, loop_time: LoopTime) -> None:
        self.number = number
        self._loop_time = loop_time

    def pass_time(self, seconds: float) -> None:
        """Let time pass for all connections that are open now."""
        assert health(self.number) == 200  # they are accepted in order
        self._loop_time.skip(seconds)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    """Serve the application."""
    loop_time = LoopTime(monkeypatch)
    with socket.create_server((HERE, 0)) as listening, server._serving(application(), listening):
        yield Port(listening.getsockname()[1], loop_time)


def half_open(port: Port | int, sent: bytes = HALF) -> socket.socket:
    """Return a connection that has sent a part of a request."""
    number = port if isinstance(port, int) else port.number
    client = socket.create_connection((HERE, number), timeout=10)
    client.sendall(sent)
    return client


def is_closed(client: socket.socket) -> bool:
    """Wait until a connection is closed by the server."""
    try:
        return client.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"G", HALF])
def test_half_open_connection_is_closed(port: Port, sent: bytes) -> None:
    """After nothing, a byte, or half of the headers, when the time for headers is over."""
    clients = [half_open(port, sent) for _ in range(50)]
    port.pass_time(HEAD_SECONDS)
    assert all(is_closed(each) for each in clients)
    assert health(port.number) == 200


def test_bytes_of_slow_headers_do_not_extend_the_time(port: Port) -> None:
    """It counts from the beginning of the connection."""
    client = half_open(port)
    for _ in range(2):
        port.pass_time(0.6 * HEAD_SECONDS)
        client.sendall(b"x")
    assert is_closed(client)


def test_second_request_has_its_own_time_for_headers(port: Port) -> None:
    """A connection that is kept after an answer is limited like a new one."""
    client = half_open(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
    answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200")
    client.sendall(b"l")  # ends uvicorn's own timeout for idle connections
    port.pass_time(HEAD_SECONDS)
    while answer := client.recv(1000):
        assert not answer.startswith(b"HTTP/1.1")
    assert is_closed(client)


def test_endless_headers_are_refused(port: Port) -> None:
    """By their size too: they could fill the memory before the time is over."""
    client = half_open(port)
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        client.sendall(b"a" * 50_000_000)


def test_body_that_was_answered_early_is_not_read_as_headers(port: Port) -> None:
    """Clients that send everything before they read the answer receive it."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
    client = half_open(port, head + b"x" * 5_000_000)
    assert client.recv(1000).startswith(b"HTTP/1.1 404")


def test_body_may_take_longer_than_headers(port: Port) -> None:
    """Bodies have their own limit, so that a slow service is not disconnected."""
    client = half_open(port, b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
    port.pass_time(2 * HEAD_SECONDS)
    client.sendall(b"x")
    assert client.recv(1000).startswith(b"HTTP/1.1 200")


CROWDED = """
import resource, socket, sys, threading, urllib.request
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from kafka_bridge.gateway.callbacks import connection_limits, server
from kafka_bridge.worker.monitoring.http import serve
from kafka_bridge.worker.monitoring.observer import WorkerStatus
from kafka_bridge.worker.monitoring.prometheus import PrometheusObserver
from unit.gateway.callbacks.test_connection_limits import application
status = WorkerStatus(ready=True)
with (
    socket.create_server(("127.0.0.1", 0)) as listening,
    server._serving(application(), listening),
    serve(lambda: status, PrometheusObserver([]), 0, "127.0.0.1") as metrics,
):
    print(listening.getsockname()[1], metrics, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", HALF, b"POST /body HTTP/1.1\r\nContent-Length: 9\r\n\r\n"])
def test_probes_are_answered_despite_many_open_connections(sent: bytes) -> None:
    """600 clients that never end their requests, and a process that has 256 file descriptors."""
    process = subprocess.Popen(
        [sys.executable, "-c", CROWDED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="tests",
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port, metrics = map(int, process.stdout.readline().split())
        clients = [half_open(port, sent) for _ in range(600)]
        for _ in range(3):
            assert health(port) == 200
            probe = HTTPConnection(HERE, metrics, timeout=20)
            probe.request("GET", "/health/live")
            assert probe.getresponse().status == 200
            probe.close()
        for each in clients:
            each.close()
    finally:
        _, errors = process.communicate("", timeout=30)
    assert errors == ""


def test_body_that_arrives_with_its_headers_does_not_count_as_headers(port: Port) -> None:
    """A client sends both at once, and the system passes them on in one piece."""
    body = b"x" * (4 * connection_limits.MAX_HEAD_BYTES)
    head = f"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with half_open(port, head + body) as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_failure_of_the_callback_server_stops_the_gateway(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise jobs would wait for callbacks that cannot arrive; uvicorn ends with SystemExit."""
    failed = threading.Event()
    closed = socket.create_server((HERE, 0))
    closed.close()

    def run() -> None:
        with server._serving(application(), closed, failed.set):
            assert failed.wait(30)

    with pytest.raises(RuntimeError, match="stopped unexpectedly"):
        run()
    assert "Callbacks can no longer be received" in caplog.text


def test_server_that_is_stopped_has_not_failed() -> None:
    """This is its usual end."""
    failed = threading.Event()
    with (
        socket.create_server((HERE, 0)) as listening,
        server._serving(application(), listening, failed.set),
    ):
        assert health(listening.getsockname()[1]) == 200
    assert not failed.is_set()
