"""The receiver's port and clients that are slow, silent or too many: with real sockets."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect

from kafka_bridge.gateway.callbacks import connection_limits, server

if TYPE_CHECKING:
    from conftest import Eventually

HERE = "127.0.0.1"
HALF = b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-"


def health(port: int, timeout: float = 20.0) -> int:
    """Ask for the receiver's health; return the status code."""
    connection = HTTPConnection(HERE, port, timeout=timeout)
    connection.request("GET", "/health")
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def application() -> FastAPI:
    """Return an application that takes whole bodies."""
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


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Serve with half a second for headers."""
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", 0.5)
    with socket.create_server((HERE, 0)) as listening, server._serving(application(), listening):
        yield listening.getsockname()[1]


def half_open(port: int, sent: bytes = HALF) -> socket.socket:
    """Return a connection that has sent a part of a request."""
    client = socket.create_connection((HERE, port), timeout=10)
    client.sendall(sent)
    return client


def is_closed(client: socket.socket) -> bool:
    """Wait until a connection is closed by the server."""
    try:
        return client.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"G", HALF])
def test_half_open_connection_is_closed(port: int, sent: bytes) -> None:
    """Nothing, a byte, or half of the headers: time counts from the beginning."""
    clients = [half_open(port, sent) for _ in range(50)]
    assert all(is_closed(each) for each in clients)
    assert health(port) == 200


def test_headers_that_trickle_do_not_count_anew(port: int, eventually: Eventually) -> None:
    """A byte now and then does not keep a connection open."""
    client = half_open(port)

    def is_cut_off() -> bool:
        try:
            client.sendall(b"x")
        except OSError:
            return True
        return False

    eventually(is_cut_off, "the connection is closed")


def test_second_request_has_a_time_of_its_own(port: int) -> None:
    """A connection that is kept after an answer is as bounded as a new one."""
    client = half_open(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
    answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200")
    while answer := client.recv(1000):
        assert not answer.startswith(b"HTTP/1.1")
    assert is_closed(client)


def test_headers_without_end_are_refused(port: int) -> None:
    """Not by time alone: they could fill the memory before."""
    client = half_open(port)
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        client.sendall(b"a" * 50_000_000)


def test_rest_of_a_body_that_was_answered_early_is_no_header(port: int) -> None:
    """Clients that send all before they look for the answer find it."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
    client = half_open(port, head + b"x" * 5_000_000)
    assert client.recv(1000).startswith(b"HTTP/1.1 404")


def test_body_may_take_longer_than_headers(port: int, eventually: Eventually) -> None:
    """Bodies have a limit of their own: a slow service is not cut off."""
    client = half_open(port, b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n")
    sent = iter(range(20))

    def is_sent() -> bool:
        client.sendall(b"x")
        return next(sent) == 19

    eventually(is_sent, "the body is sent")
    assert client.recv(1000).startswith(b"HTTP/1.1 200")


CROWDED = """
import resource, socket, sys, threading, urllib.request
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from kafka_bridge.gateway.callbacks import connection_limits, server
from kafka_bridge.worker.monitoring.http import serve
from kafka_bridge.worker.monitoring.observer import WorkerStatus
from kafka_bridge.worker.monitoring.prometheus import PrometheusObserver
from unit.gateway.callbacks.test_connection_limits import application
status = WorkerStatus(0, 0, 0, ready=True, seconds_since_poll=0.0)
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
    """600 clients that never end their requests, to a process that has 256 file descriptors."""
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
        _, complaints = process.communicate("", timeout=30)
    assert complaints == ""


def test_body_that_comes_with_its_headers_is_not_taken_for_headers(port: int) -> None:
    """A client sends both at once, and the system hands them over in one piece."""
    body = b"x" * (4 * connection_limits.MAX_HEAD_BYTES)
    head = f"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with half_open(port, head + body) as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_failure_of_the_callback_server_stops_the_gateway(caplog: pytest.LogCaptureFixture) -> None:
    """Else jobs would wait for callbacks that nobody takes; uvicorn ends with SystemExit."""
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
    """The usual end."""
    failed = threading.Event()
    with (
        socket.create_server((HERE, 0)) as listening,
        server._serving(application(), listening, failed.set),
    ):
        assert health(listening.getsockname()[1]) == 200
    assert not failed.is_set()
