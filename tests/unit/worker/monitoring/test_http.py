"""A worker's metrics and health over HTTP."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, cast

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import FakeClock
from kafka_bridge.worker.monitoring import http
from kafka_bridge.worker.monitoring.http import CLIENT_SECONDS, LIVE_SECONDS, MAX_CONNECTIONS, serve
from kafka_bridge.worker.monitoring.observer import Waiting, WorkerStatus
from kafka_bridge.worker.monitoring.prometheus import PrometheusObserver

if TYPE_CHECKING:
    from conftest import Eventually

HERE = "127.0.0.1"
HEALTHY = WorkerStatus(
    running=2,
    waiting={"a.job": Waiting(3, 7.5)},
    slots=8,
    slots_free=6,
    partitions=4,
    ready=True,
    seconds_since_poll=0.25,
)


class Watched:
    """A port on which a worker is watched, and what it says there."""

    def __init__(self) -> None:
        self.status = HEALTHY
        self.observer = PrometheusObserver(["a.job", "b.job"])
        self.port = 0

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Return status code and body."""
        connection = HTTPConnection(HERE, self.port, timeout=30)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def metrics(self) -> dict[str, float]:
        """Return this project's samples by name and labels."""
        code, body = self.get("/metrics")
        assert code == 200
        found = re.findall(r"^kafka_bridge_worker_(\S+) (\S+)$", body, flags=re.MULTILINE)
        return {name: float(value) for name, value in found}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Serve a worker's status, which the test sets."""
    monkeypatch.setattr(http, "STOP_SECONDS", 0.01)
    watched = Watched()
    with serve(lambda: watched.status, watched.observer, 0, HERE) as watched.port:
        yield watched


def test_each_observation_moves_its_own_series(watched: Watched) -> None:
    """Each thing that a worker tells moves its own series, in base units."""
    tell = watched.observer
    before = watched.metrics()
    tell.accepted("a.job", delivery=1, queued_seconds=0.5)
    tell.accepted("a.job", delivery=2, queued_seconds=-3.0)
    tell.ended("a.job", JobState.SUCCEEDED, 2.0)
    tell.ended("b.job", JobState.RELEASED, 40.0)
    tell.abandoned("b.job")
    tell.retried("a.job")
    tell.skipped()
    tell.unreadable(40)
    tell.dead_letter("UnknownSchema")
    tell.ledger_read(records=1_000, seconds=0.75)
    after = watched.metrics()
    moved = {
        name: value - before.get(name, 0.0)
        for name, value in after.items()
        if value != before.get(name) and "_bucket" not in name and "_created" not in name
    }
    assert moved == {
        'jobs_accepted_total{job_type="a.job"}': 2,
        'jobs_redelivered_total{job_type="a.job"}': 1,
        'job_queued_seconds_count{job_type="a.job"}': 2,
        'job_queued_seconds_sum{job_type="a.job"}': 0.5,
        'job_duration_seconds_count{job_type="a.job",state="SUCCEEDED"}': 1,
        'job_duration_seconds_sum{job_type="a.job",state="SUCCEEDED"}': 2.0,
        'job_duration_seconds_count{job_type="b.job",state="RELEASED"}': 1,
        'job_duration_seconds_sum{job_type="b.job",state="RELEASED"}': 40.0,
        'jobs_abandoned_total{job_type="b.job"}': 1,
        'job_retries_total{job_type="a.job"}': 1,
        "requests_skipped_total": 1,
        "unreadable_offsets_total": 40,
        'dead_letters_total{error_type="UnknownSchema"}': 1,
        "ledger_records_total": 1_000,
        "ledger_read_seconds_count": 1,
        "ledger_read_seconds_sum": 0.75,
    }
    assert after['job_duration_seconds_bucket{job_type="a.job",le="1.0",state="SUCCEEDED"}'] == 0
    assert after['job_duration_seconds_bucket{job_type="a.job",le="3.0",state="SUCCEEDED"}'] == 1


def test_series_start_at_zero(watched: Watched) -> None:
    """A rate can be taken of a job type's first failure: its series begins at 0."""
    metrics = watched.metrics()
    assert metrics['jobs_accepted_total{job_type="a.job"}'] == 0
    assert metrics['job_duration_seconds_count{job_type="b.job",state="FAILED"}'] == 0


def test_unknown_job_types_share_a_label(watched: Watched) -> None:
    """A request may name any job type: that cannot make series without end."""
    for number in range(100):
        watched.observer.accepted(f"type.{number}", delivery=1, queued_seconds=0)
    taken = {k: v for k, v in watched.metrics().items() if k.startswith("jobs_accepted_total")}
    assert taken['jobs_accepted_total{job_type="(unknown)"}'] == 100
    assert len(taken) == 3


def test_gauges_are_read_at_each_scrape(watched: Watched) -> None:
    """Each scrape asks the worker anew."""
    gauges = (
        "jobs_running",
        "slots",
        "slots_free",
        "partitions",
        "ready",
        "last_poll_age_seconds",
        'requests_waiting{job_type="a.job"}',
        'oldest_waiting_seconds{job_type="a.job"}',
        'requests_waiting{job_type="b.job"}',
    )
    assert [watched.metrics()[name] for name in gauges] == [2, 8, 6, 4, 1, 0.25, 3, 7.5, 0]
    watched.status = WorkerStatus(seconds_since_poll=1.5)
    assert [watched.metrics()[name] for name in gauges] == [0, 0, 0, 0, 0, 1.5, 0, 0, 0]


def test_waiting_requests_of_unknown_job_types_share_a_label(watched: Watched) -> None:
    """The oldest of them tells the age."""
    waiting = {f"type.{each}": Waiting(1, float(each)) for each in range(5)}
    watched.status = WorkerStatus(waiting=waiting)
    metrics = watched.metrics()
    assert metrics['requests_waiting{job_type="(unknown)"}'] == 5
    assert metrics['oldest_waiting_seconds{job_type="(unknown)"}'] == 4


def test_process_metrics_are_served(watched: Watched) -> None:
    """Memory and CPU come along, as Prometheus' own client names them."""
    body = watched.get("/metrics")[1]
    assert re.search(r"^process_resident_memory_bytes \d", body, flags=re.MULTILINE)
    assert re.search(r"^# HELP kafka_bridge_worker_jobs_accepted_total ", body, flags=re.MULTILINE)


def test_liveness_follows_the_consumers_polls(watched: Watched) -> None:
    """A worker that is busy or not ready is alive; one that stopped polling is not."""
    watched.status = replace(HEALTHY, ready=False)
    assert watched.get("/health/live") == (200, "ok\n")
    watched.status = replace(HEALTHY, seconds_since_poll=LIVE_SECONDS + 1)
    assert watched.get("/health/live") == (503, "the consumer last polled 61 s ago\n")


def test_readiness_follows_the_worker(watched: Watched) -> None:
    """Ready is what the worker says of itself."""
    assert watched.get("/health/ready") == (200, "ok\n")
    watched.status = replace(HEALTHY, ready=False)
    code, words = watched.get("/health/ready")
    assert code == 503
    assert "not in its group yet, or still reading the response topic" in words


def test_wrong_path_and_method_are_refused_with_advice(watched: Watched) -> None:
    """A wrong path names the right ones."""
    assert watched.get("/healthz") == (404, "/metrics, /health/live, /health/ready\n")
    assert watched.get("/health/live", "POST") == (405, "GET only\n")


def test_silent_connections_do_not_block_probes(watched: Watched) -> None:
    """Connections that stay open and silent do not keep probes from being answered."""
    silent = [socket.create_connection((HERE, watched.port)) for _ in range(20)]
    started = time.monotonic()
    assert watched.get("/health/live")[0] == 200
    assert time.monotonic() - started < 30
    for each in silent:
        each.close()


@pytest.fixture
def endless_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a connection wait for its client without end, unless the server itself closes it."""
    monkeypatch.setattr(http._Handler, "timeout", None)


def _slow_clients(port: int, count: int) -> list[socket.socket]:
    """Return connections that have sent a part of their headers, and no more."""
    clients = []
    for _ in range(count):
        client = socket.create_connection((HERE, port), timeout=10)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        clients.append(client)
    return clients


@pytest.mark.usefixtures("endless_reads")
def test_slow_clients_have_few_threads_and_probes_are_answered(
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    eventually: Eventually,
) -> None:
    """Clients that never end their headers: the oldest are disconnected for a probe."""
    monkeypatch.setattr(http, "CLIENT_SECONDS", 600.0)
    before = threading.active_count()
    clients = _slow_clients(watched.port, 3 * MAX_CONNECTIONS)
    for path in ("/health/live", "/health/ready", "/metrics"):
        started = time.monotonic()
        assert watched.get(path)[0] == 200
        assert time.monotonic() - started < 60  # a tenth of what a client may take
    # The thread of a connection that was closed ends as soon as it gets the processor.
    eventually(
        lambda: threading.active_count() - before <= MAX_CONNECTIONS + 1, "few threads are left"
    )
    assert clients[0].recv(1) == b""  # the oldest is closed
    for each in clients:
        each.close()
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("endless_reads")
def test_slow_client_is_disconnected(
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A byte now and then does not keep a connection open: its time counts from its beginning."""
    clock = FakeClock()
    monkeypatch.setattr(http, "time", clock)
    (client,) = _slow_clients(watched.port, 1)
    assert watched.get("/health/live")[0] == 200  # both connections are accepted
    clock.advance(0.6 * CLIENT_SECONDS)
    client.sendall(b"x")
    clock.advance(0.6 * CLIENT_SECONDS)
    assert client.recv(1) == b""
    assert capfd.readouterr().err == ""


def test_failing_metrics_are_logged(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """A source that raises is an error in the log, and 500 for who asked; probes go on."""

    class Broken:
        def collect(self) -> list[object]:
            raise ValueError("no figures today")

    watched.observer.registry.register(cast(Any, Broken()))
    assert watched.get("/metrics")[0] == 500
    assert "Collecting the metrics failed" in caplog.messages
    assert watched.get("/health/live")[0] == 200


def test_port_is_free_again_afterwards() -> None:
    """Nothing answers after the block, and the next one may have the port at once."""
    watched = Watched()
    with serve(lambda: HEALTHY, watched.observer, 0, HERE) as port:
        watched.port = port
        assert watched.get("/health/live")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        watched.get("/health/live")
    with serve(lambda: HEALTHY, watched.observer, port, HERE):
        assert watched.metrics()["ready"] == 1


def test_error_of_a_taken_port_names_it(watched: Watched) -> None:
    """The port, the address, the reason, and what to set."""
    words = rf"port {watched.port} for metrics and health cannot be opened on {HERE}: .* in use"
    with (
        pytest.raises(ConfigurationError, match=rf"{words}.*--metrics-port.*KAFKA_BRIDGE_METRICS"),
        serve(lambda: HEALTHY, PrometheusObserver([]), watched.port, HERE),
    ):
        pass


@pytest.mark.parametrize(("port", "host"), [(70_000, HERE), (0, "no.such.host.invalid")])
def test_error_of_an_impossible_address_names_it(port: int, host: str) -> None:
    """A mistake in either is an error in words, not a traceback of sockets."""
    with (
        pytest.raises(ConfigurationError, match=f"port {port} .* cannot be opened on {host}: "),
        serve(lambda: HEALTHY, PrometheusObserver([]), port, host),
    ):
        pass


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_address_may_be_given() -> None:
    """An address with colons is one of IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    with serve(lambda: HEALTHY, PrometheusObserver([]), 0, "::1") as port:
        connection = HTTPConnection("::1", port, timeout=30)
        connection.request("GET", "/health/ready")
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.slow
def test_missing_extra_is_named() -> None:
    """Without prometheus_client the worker imports; the port says what to install."""
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import kafka_bridge.worker\n"
        "from kafka_bridge.protocol.errors import ConfigurationError\n"
        "try:\n"
        "    import kafka_bridge.worker.monitoring.http\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert 'pip install "airflow-kafka-bridge[metrics]"' in result.stdout
