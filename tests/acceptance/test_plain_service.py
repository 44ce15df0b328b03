"""A stock NestJS microservice, unchanged, completes a task on a real Airflow."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kafka_bridge.testing import Broker, TopicExists
from kafka_bridge.testing.local_airflow import LocalAirflow

SERVICE = Path(__file__).parent / "nest"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def nest(
    jobs_broker: Broker, tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., None]
) -> Iterator[None]:
    """Run the service; npm gets what it needs. Without npm, or without its registry, skip."""
    folder = tmp_path_factory.mktemp("nest") / "service"
    shutil.copytree(SERVICE, folder, ignore=shutil.ignore_patterns("node_modules"))
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
    got = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )
    if got.returncode:
        pytest.skip(f"npm cannot install the service: {got.stderr[-300:]}")
    for topic in ("convert", "convert.reply"):
        with contextlib.suppress(TopicExists):
            jobs_broker.create_topic(topic, 2)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["node", "service.js", jobs_broker.bootstrap_servers],
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: "Listening" in log.read_text(), "the service listens", 60)
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


def test_result_and_failure(airflow: LocalAirflow, nest: None) -> None:
    """What the service returns is the task's result, and what it throws is the task's error."""
    runs = {
        dag_id: airflow.trigger(dag_id) for dag_id in ("plain_service", "plain_service_that_fails")
    }
    ok, bad = runs["plain_service"], runs["plain_service_that_fails"]
    assert airflow.wait_for_run("plain_service", ok, 120) == "success"
    assert airflow.xcom("plain_service", ok, "convert") == {"converted": "a.png", "by": "nest"}
    assert airflow.wait_for_run("plain_service_that_fails", bad, 60) == "failed"
    log = airflow.task_log("plain_service_that_fails", bad, "convert")
    assert "KafkaJobFailed: error: no such file: /no/such/file" in "\n".join(map(str, log))
