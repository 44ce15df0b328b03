"""Whether a triggerer runs, asked of a stand-in for the API server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kafka_bridge.airflow.checkup.triggerer import PATH, findings_about, triggerer
from kafka_bridge.findings import Finding, Level

HEARTBEAT = "2026-11-23T09:30:12+00:00"
HEALTHY = {
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": HEARTBEAT},
    "triggerer": {"status": "healthy", "latest_triggerer_heartbeat": HEARTBEAT},
}
Serve = Callable[[bytes], str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Give a function that serves an answer as the API server; there is no database."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/none.db")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def serve(body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == PATH else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def look() -> list[Finding]:
    """Return the findings."""
    return list(triggerer(60))


@pytest.mark.parametrize("option", ["AIRFLOW__API__BASE_URL", "execution"])
def test_health_comes_from_the_api_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """Workers have only the address of the execution API; it is the same server."""
    url = serve(json.dumps(HEALTHY).encode())
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    if option == "execution":
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", f"{url}/execution/")
    else:
        monkeypatch.setenv(option, f"{url}/")
    assert look() == [Finding(Level.OK, f"healthy; its last heartbeat: {HEARTBEAT}")]


@pytest.mark.parametrize(
    "body",
    [b"<html>log in</html>", b"[]", b"{}", b"\xff", b'{"metadatabase": {"status": "unhealthy"}}'],
)
def test_other_answers_are_not_taken_for_health(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, body: bytes, tmp_path: Path
) -> None:
    """The finding says what was asked, and how to ask; no database is created."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", serve(body))
    (finding,) = look()
    assert finding.level is Level.WARNING
    assert finding.text.startswith("not known: the API server ")
    assert "; this machine has no metadata database (" in finding.text
    assert "`airflow jobs check --job-type TriggererJob`" in finding.advice
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc", "http://127.0.0.1:9"])
def test_missing_api_server_is_named(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Only HTTP addresses are asked."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", url)
    (finding,) = look()
    assert finding.level is Level.WARNING
    assert url in finding.text


@pytest.mark.parametrize(
    ("component", "facts", "words"),
    [
        ("triggerer", {"status": None, "latest_triggerer_heartbeat": None}, "has ever run"),
        (
            "triggerer",
            {"status": "unhealthy", "latest_triggerer_heartbeat": HEARTBEAT},
            f"no triggerer runs; the last heartbeat of one: {HEARTBEAT}",
        ),
        ("triggerer", "odd", "no triggerer has ever run"),
        (
            "scheduler",
            {"status": "unhealthy", "latest_scheduler_heartbeat": None},
            "no scheduler runs; the last heartbeat of one: never",
        ),
    ],
)
def test_components_that_do_not_run(component: str, facts: object, words: str) -> None:
    """Each is an error if tasks defer by default, and says what to start."""
    found = findings_about({**HEALTHY, component: facts}, Level.ERROR)
    (finding,) = [each for each in found if each.level is Level.ERROR]
    assert words in finding.text
    assert f"`airflow {component}`" in finding.advice


class Status(str, Enum):  # noqa: UP042  as Airflow 3.4 has it: its text is 'Status.HEALTHY'
    """Health as Airflow's own function returns it since 3.4, while its API returns text."""

    HEALTHY = "healthy"


def test_health_may_be_a_member_of_an_enum() -> None:
    """A machine that asks the database gets it from Airflow's own function."""
    health = {name: {**facts, "status": Status.HEALTHY} for name, facts in HEALTHY.items()}
    (finding,) = findings_about(health, Level.ERROR)
    assert finding.text == f"healthy; its last heartbeat: {HEARTBEAT}"
