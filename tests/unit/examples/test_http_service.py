"""The example's HTTP service: what a gateway, or anybody else, may rely on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.gateway import http_service
from kafka_bridge.testing.ports import free_port

Eventually = Callable[..., None]

pytestmark = pytest.mark.slow  # the service is a process of its own


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, eventually: Eventually
) -> Iterator[httpx.Client]:
    """Give a client of the service, which runs in a process of its own."""
    port = free_port()
    service = http_service(tmp_path_factory.mktemp("service"), port)
    service.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            eventually(lambda: "running on" in service.tail(), "the service is up")
            yield client
    finally:
        service.stop(10)


@pytest.fixture
def job(unique_name: Callable[[str], str]) -> str:
    """Give a job's id."""
    return unique_name("job")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Give a folder of ten files."""
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text("line\n" * number)
    return tmp_path


def status(client: httpx.Client, job: str) -> dict[str, Any]:
    """Return how an audit is."""
    return dict(client.get(f"/jobs/{job}").json())


def ended(client: httpx.Client, job: str) -> bool:
    """Tell whether an audit has ended."""
    return bool(status(client, job)["status"] != "running")


def test_status_shows_progress_and_then_the_report(
    client: httpx.Client, job: str, files: Path, eventually: Eventually
) -> None:
    """It says how far it is, and at last what it found."""
    answer = client.post(f"/jobs/{job}", json={"directory": str(files), "files_per_second": 100})
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    eventually(lambda: "progress" in status(client, job), "there is progress")
    assert status(client, job)["progress"]["total"] == 10
    eventually(lambda: ended(client, job), "the audit has ended")
    found = status(client, job)
    assert found["status"] == "completed"
    assert found["result"]["files"] == 10
    assert found["result"]["lines_by_suffix"] == {".txt": 45}


def test_same_key_is_the_same_audit(client: httpx.Client, job: str, files: Path) -> None:
    """Submitted again with its key it is not started again; with another key it is refused."""
    url, first = f"/jobs/{job}", {"directory": str(files), "files_per_second": 1}
    key = {"Idempotency-Key": "k"}
    assert client.post(url, json=first, headers=key).status_code == 202
    again = client.post(url, json={"directory": "/elsewhere"}, headers=key)
    assert (again.status_code, again.json()["status"]) == (202, "running")
    assert client.post(url, json=first, headers={"Idempotency-Key": "l"}).status_code == 409
    assert client.post(url, json=first).status_code == 409
    client.delete(url)


def test_cancelled_audit_stops(
    client: httpx.Client, job: str, files: Path, eventually: Eventually
) -> None:
    """It does not go on to its end, and says so."""
    client.post(f"/jobs/{job}", json={"directory": str(files), "files_per_second": 20})
    assert client.delete(f"/jobs/{job}").status_code == 202
    eventually(lambda: ended(client, job), "the audit has ended")
    assert status(client, job) == {"status": "cancelled"}


def test_failures_have_a_readable_message(
    client: httpx.Client, job: str, eventually: Eventually
) -> None:
    """A directory that is not there, an audit that is not, and a request that makes no sense."""
    client.post(f"/jobs/{job}", json={"directory": "/no/such/directory"})
    eventually(lambda: ended(client, job), "the audit has ended")
    assert status(client, job)["error"] == {
        "type": "directory_not_found",
        "message": "/no/such/directory is not a directory on this machine",
        "retryable": False,
    }
    missing = client.get(f"/jobs/{job}-b")
    assert (missing.status_code, missing.json()["detail"]) == (404, f"there is no audit {job}-b")
    assert client.delete(f"/jobs/{job}-b").status_code == 404
    assert client.post(f"/jobs/{job}-b", json={"pattern": "*"}).status_code == 422


def test_final_callback_is_retried_until_it_succeeds(
    client: httpx.Client, job: str, files: Path, eventually: Eventually
) -> None:
    """Progress comes before it; an answer of 503 does not lose it."""
    bodies: list[dict[str, Any]] = []
    refusals = iter([True, True])

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            is_refused = body["status"] != "running" and next(refusals, False)
            if not is_refused:
                bodies.append(body)
            self.send_response(503 if is_refused else 202)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/hook"
        client.post(f"/jobs/{job}", json={"directory": str(files), "callback_url": url})
        eventually(lambda: bodies and bodies[-1]["status"] == "completed", "the end is told")
        server.shutdown()
    assert bodies[0]["status"] == "running"
    assert bodies[0]["progress"] == {"completed": 1, "total": 10, "unit": "files"}
    assert bodies[-1]["result"]["files"] == 10
    assert next(refusals, None) is None
