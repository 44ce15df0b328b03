"""``kafka-bridge board`` and a worker as processes, on a broker that goes and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from integration.jobs import WAIT_SECONDS
from kafka_bridge.protocol.topics import (
    CONTROL_TOPIC,
    DEAD_LETTER_TOPIC,
    REQUEST_TOPIC,
    RESPONSE_TOPIC,
)
from kafka_bridge.testing import EmbeddedBroker
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from conftest import Eventually

TOPICS = (REQUEST_TOPIC, RESPONSE_TOPIC, CONTROL_TOPIC, DEAD_LETTER_TOPIC)
TOKEN = "a-token-that-is-long-enough"
SERVICE = """
import pathlib, time
from kafka_bridge.worker import JobContext, Worker

worker = Worker("service", worker_id="w-1")

@worker.job("files.audit")
def audit(job: JobContext, payload: str) -> str:
    job.progress(1, total=2, unit="files")
    while not pathlib.Path(payload).exists():
        job.raise_if_stopped()
        time.sleep(0.05)
    return "audited"

worker.run()
"""


class Site:
    """A board and a worker, each in a process of its own, and what asks the board."""

    def __init__(self, broker: EmbeddedBroker, processes: ExitStack) -> None:
        self.broker = broker
        self._environ = os.environ | {
            "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "KAFKA_BRIDGE_BOARD_TOKEN": TOKEN,
        }
        self._processes = processes
        board = self.start("-m", "kafka_bridge", "board", "--port", "0")
        assert board.stdout is not None
        address = board.stdout.readline().split()[4]
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.board = processes.enter_context(
            httpx.Client(base_url=address, headers=headers, timeout=WAIT_SECONDS)
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Python; it is killed at the end of the test."""
        process = subprocess.Popen(
            [sys.executable, *arguments], env=self._environ, text=True, stdout=subprocess.PIPE
        )
        self._processes.callback(process.wait)
        self._processes.callback(process.kill)
        return process

    def submit(self, payload: Path) -> str:
        """Submit a job by the command line; return its id."""
        words = ("jobs", "submit", "files.audit", "--payload", json.dumps(str(payload)))
        process = self.start("-m", "kafka_bridge", *words)
        out, _ = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 0
        return out.strip()

    def get(self, path: str) -> Any:
        """Return the JSON that a path answers."""
        response = self.board.get(path)
        response.raise_for_status()
        return response.json()

    def problems(self) -> list[str]:
        """Return what the banner of the page says."""
        found: list[str] = self.get("api/jobs")["status"]["problems"]
        return found

    def follow(self, seen: Callable[[dict[str, Any]], object]) -> None:
        """Call a function with each message of the stream, on a thread of its own."""

        def read() -> None:
            try:
                with self.board.stream("GET", "api/events", params={"show": "jobs"}) as stream:
                    for line in stream.iter_lines():
                        if line.startswith("data: "):
                            seen(json.loads(line.removeprefix("data: ")))
            except httpx.HTTPError:
                pass  # the test is over

        threading.Thread(target=read, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a board and a worker on an embedded broker of its own."""
    with EmbeddedBroker(TOPICS, port=free_port()) as broker, ExitStack() as processes:
        site = Site(broker, processes)
        site.start("-c", SERVICE)
        yield site


def test_page_and_stream_show_a_job_from_its_request_to_its_end(
    site: Site, tmp_path: Path, eventually: Eventually
) -> None:
    """With its progress; then its result, and the numbers for Prometheus."""
    assert "<title>Jobs</title>" in site.board.get("").text
    eventually(lambda: not site.get("api/jobs")["status"]["is_reading"], "the board has read all")
    messages: list[dict[str, Any]] = []
    site.follow(messages.append)
    eventually(lambda: messages, "the stream is open")

    def states() -> list[tuple[str, Any]]:
        jobs = (job for each in messages for job in each["jobs"] or ())
        return [(job["state"], job["progress"]) for job in jobs]

    job = site.submit(tmp_path / "go")
    half = {"completed": 1.0, "total": 2.0, "unit": "files"}
    eventually(lambda: ("RUNNING", half) in states(), "the stream has the progress")
    shown = site.get(f"api/jobs/{job}")
    assert (shown["job"]["worker_id"], shown["job"]["progress"]) == ("w-1", half)
    labels = f'job_type="files.audit",topic="{REQUEST_TOPIC}"'
    assert f"_jobs_running{{{labels}}} 1.0" in site.board.get("metrics").text
    (tmp_path / "go").touch()
    eventually(lambda: states()[-1][0] == "SUCCEEDED", "the stream has the end")
    assert site.get(f"api/jobs/{job}/data")["result"]["text"] == '"audited"'
    assert site.get("api/dead-letters")["letters"] == []


def test_broker_that_goes_is_a_problem_until_it_is_back(
    site: Site, tmp_path: Path, eventually: Eventually
) -> None:
    """What was read stays on the page. Then jobs are followed as before."""
    (tmp_path / "go").touch()
    job = site.submit(tmp_path / "go")

    def states() -> dict[str, str]:
        return {each["correlation_id"]: each["state"] for each in site.get("api/jobs")["jobs"]}

    eventually(lambda: states().get(job) == "SUCCEEDED", "the job has ended")
    assert site.problems() == []
    site.broker.close()
    eventually(lambda: bool(site.problems()), "the board says that Kafka is away")
    assert states()[job] == "SUCCEEDED"
    assert site.board.get("api/dead-letters").status_code == 503
    assert "kafka_bridge_board_jobs_" not in site.board.get("metrics").text
    site.broker.start()
    eventually(lambda: not site.problems(), "the board says that Kafka is back")
    later = site.submit(tmp_path / "go")
    eventually(lambda: later in states(), "the board follows the topics again")
