"""A real Airflow on a real Kafka, with real worker processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from conftest import airflow_database

from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.testing import Broker, TopicExists
from kafka_bridge.testing.local_airflow import LocalAirflow

from .observers import LOOPBACK, Spans, Statsd
from .runs import Run

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
COMMAND = [sys.executable, "-m", "kafka_bridge", "worker", "run"]


@pytest.fixture(scope="package")
def jobs_broker(real_broker: Broker) -> Broker:
    """Prepare the session's Kafka: the default topics, those of the tests, and one unread."""
    others = (
        "test.requests",
        "patient.requests",
        "batch.requests",
        "jobs.nobody",
        "unreadable.responses",
    )
    for name in (*TopicNames(), *others):
        with contextlib.suppress(TopicExists):
            real_broker.create_topic(name, 4)
    return real_broker


@pytest.fixture(scope="package")
def database_url() -> Iterator[str | None]:
    """Give Airflow's database, or None for SQLite."""
    with airflow_database() as url:
        yield url


@pytest.fixture(scope="package")
def metrics() -> Iterator[Statsd]:
    """Give what Airflow's processes send to statsd."""
    with Statsd() as statsd:
        yield statsd


@pytest.fixture(scope="package")
def spans() -> Iterator[Spans]:
    """Give the spans that Airflow's processes send."""
    with Spans() as collector:
        yield collector


@pytest.fixture(scope="package")
def airflow(
    jobs_broker: Broker,
    database_url: str | None,
    metrics: Statsd,
    spans: Spans,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalAirflow]:
    """Run an Airflow with the project's DAGs and those of the tests."""
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    shutil.copytree(PROJECT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE / "dags", dags, dirs_exist_ok=True)
    connections = {
        "kafka_default": _connection(jobs_broker.bootstrap_servers),
        "dead": _connection("127.0.0.1:9"),
    }
    settings = {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": LOOPBACK,
        "AIRFLOW__METRICS__STATSD_PORT": str(metrics.port),
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",  # plain statsd has no tags
        "AIRFLOW__TRACES__OTEL_ON": "True",
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans.url,
        # Airflow's default: a busy machine notices the end of a process late (decision 0007).
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
        # Short, for the test in which a triggerer misses its heartbeats.
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__KAFKA_BRIDGE__SOURCE": "acceptance",
        "AIRFLOW__KAFKA_BRIDGE__JOB_URL": (
            "http://127.0.0.1/topics/{response_topic}?key={correlation_id}"
        ),
        "AIRFLOW__KAFKA_BRIDGE__BATCH_URL": "http://127.0.0.1/batches/{batch_id}",
    }
    airflow = LocalAirflow(
        home, dags, connections=connections, env=settings, database_url=database_url
    )
    with airflow as running:
        yield running


def _connection(servers: str) -> dict[str, object]:
    # Connections for the provider's operators have a group.id. The bridge must not use it.
    return {
        "conn_type": "kafka",
        "extra": {"bootstrap.servers": servers, "group.id": "not-for-the-bridge"},
    }


@pytest.fixture(scope="package")
def start_worker(
    jobs_broker: Broker, eventually: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Give a function that starts a worker process and returns it when it is ready for jobs."""
    started: list[subprocess.Popen[bytes]] = []

    def start(target: str, folder: Path = HERE, **environ: str) -> subprocess.Popen[bytes]:
        log = tmp_path_factory.mktemp("worker") / "worker.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*COMMAND, target, "--app-dir", str(folder)],
                env={
                    **os.environ,
                    "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": jobs_broker.bootstrap_servers,
                    **environ,
                },
                stderr=output,
            )
        started.append(process)
        eventually(lambda: "Ready for jobs" in log.read_text(), f"{target} is ready")
        return process

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(timeout=60)


@pytest.fixture(scope="package")
def workers(start_worker: Callable[..., subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
    """Run two worker processes of the tests' service in one group."""
    return [start_worker("services:worker"), start_worker("services:worker")]


@pytest.fixture(scope="package")
def file_auditor(start_worker: Callable[..., subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Run the example's worker."""
    return start_worker("file_auditor:worker", PROJECT / "examples")


@pytest.fixture(scope="package")
def patient_service(
    start_worker: Callable[..., subprocess.Popen[bytes]],
) -> subprocess.Popen[bytes]:
    """Run the worker whose jobs run until they are stopped."""
    return start_worker("patient_service:worker")


@pytest.fixture(scope="package")
def batch_service(
    start_worker: Callable[..., subprocess.Popen[bytes]],
) -> subprocess.Popen[bytes]:
    """Run the worker with many small jobs."""
    return start_worker("batch_service:worker")


@pytest.fixture(scope="package")
def begin(
    airflow: LocalAirflow, jobs_broker: Broker, eventually: Callable[..., None]
) -> Callable[..., Run]:
    """Give a function that triggers a run of a DAG."""

    def begin(
        dag_id: str,
        request_topic: str = "patient.requests",
        conf: Mapping[str, object] | None = None,
    ) -> Run:
        servers, run_id = jobs_broker.bootstrap_servers, airflow.trigger(dag_id, conf=conf)
        return Run(airflow, servers, eventually, dag_id, run_id, request_topic)

    return begin
