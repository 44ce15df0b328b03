"""Stock request-reply services, unchanged, complete tasks on a real Airflow."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kafka_bridge.testing import Broker, TopicExists
from kafka_bridge.testing.local_airflow import LocalAirflow

HERE = Path(__file__).parent
TOPICS = (
    "convert",
    "convert.reply",
    "spring.convert",
    "spring.convert.silent",
    "spring.replies",
)
Eventually = Callable[..., None]
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def broker(jobs_broker: Broker) -> Broker:
    """Prepare the services' topics."""
    for topic in TOPICS:
        with contextlib.suppress(TopicExists):
            jobs_broker.create_topic(topic, 2)
    return jobs_broker


@pytest.fixture(scope="module")
def nest(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory, eventually: Eventually
) -> Iterator[None]:
    """Run a NestJS microservice; npm gets what it needs."""
    folder = shutil.copytree(HERE / "nest", tmp_path_factory.mktemp("nest") / "service")
    build(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], folder)
    command = ["node", "service.js", broker.bootstrap_servers]
    with running(command, folder, "Listening", eventually):
        yield


@pytest.fixture(scope="module")
def spring(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory, eventually: Eventually
) -> Iterator[None]:
    """Run a Spring Boot service with listeners; Maven gets what it needs, and builds it."""
    folder = shutil.copytree(HERE / "spring", tmp_path_factory.mktemp("spring") / "service")
    build(["mvn", "-q", "-B", "package"], folder)
    servers = f"--spring.kafka.bootstrap-servers={broker.bootstrap_servers}"
    command = ["java", "-Xmx256m", "-jar", "target/converter-1.jar", servers]
    with running(command, folder, "Started ConverterApplication", eventually):
        yield


def build(command: list[str], folder: Path) -> None:
    """Build a service; where the program that does it, or what it needs, is not there, skip."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    built = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    if built.returncode:
        pytest.skip(
            f"{command[0]} cannot build the service: {(built.stdout + built.stderr)[-500:]}"
        )


@contextlib.contextmanager
def running(command: list[str], folder: Path, words: str, eventually: Eventually) -> Iterator[None]:
    """Run a service inside the block, from the moment when its log has these words."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        eventually(lambda: words in log.read_text(), f"{command[0]} says {words!r}")
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


def log_of(airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str) -> str:
    """Return a task's log."""
    return "\n".join(map(str, airflow.task_log(dag_id, run_id, task_id)))


def test_nestjs_service_answers_a_task_without_the_sdk(airflow: LocalAirflow, nest: None) -> None:
    """What a NestJS service returns is the task's result, and what it throws the task's error."""
    runs = {
        dag_id: airflow.trigger(dag_id) for dag_id in ("plain_service", "plain_service_that_fails")
    }
    ok, bad = runs["plain_service"], runs["plain_service_that_fails"]
    assert airflow.wait_for_run("plain_service", ok, 240) == "success"
    assert airflow.xcom("plain_service", ok, "convert") == {"converted": "a.png", "by": "nest"}
    assert airflow.wait_for_run("plain_service_that_fails", bad, 240) == "failed"
    log = log_of(airflow, "plain_service_that_fails", bad, "convert")
    assert "KafkaJobFailed: error: no such file: /no/such/file" in log


def test_spring_service_answers_a_task_without_the_sdk(airflow: LocalAirflow, spring: None) -> None:
    """What a Spring listener returns is the task's result; a marked reply, the task's error.

    A listener that throws and has no error handler is silent: the time-out says what to do. A batch
    is done by the same listener.
    """
    dag_id, run_id = "spring_service", airflow.trigger("spring_service")
    assert airflow.wait_for_run(dag_id, run_id, 240) == "failed"
    assert airflow.xcom(dag_id, run_id, "does") == {"converted": "a.png", "by": "spring"}
    words = "KafkaJobFailed: error: no such file: /no/such/file"
    assert words in log_of(airflow, dag_id, run_id, "says_why_not")
    silent = log_of(airflow, dag_id, run_id, "is_silent")
    assert "KafkaJobTimedOut: not_started: no reply came in time. " in silent
    assert "A Spring listener that throws sends no reply: give it an errorHandler" in silent
    results = airflow.xcom(dag_id, run_id, "does_many")
    error = {"type": "error", "message": "no such file: /no/such/file", "retryable": True}
    assert results == [
        {"error": error} if n == 70 else {"converted": f"{n}.png", "by": "spring"}
        for n in range(100)
    ]
