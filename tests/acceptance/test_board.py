"""The board in a real API server of Airflow, below a path, for users with different rights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, Task, utc_now
from kafka_bridge.testing import EmbeddedBroker
from kafka_bridge.testing.local_airflow import config
from kafka_bridge.testing.local_airflow.processes import ManagedProcess
from kafka_bridge.testing.ports import free_port

from .conftest import COMMAND, HERE

if TYPE_CHECKING:
    from conftest import Eventually

pytestmark = pytest.mark.airflow_versions

TOPIC = "patient.requests"
PASSWORDS = {"ann": "of-the-admin", "vic": "of-the-viewer"}
START_SECONDS = 180.0
STOP_SECONDS = 20.0
"""Less than the time for which a stream would go on."""
OURS = Task("acceptance", "nightly", "manual__2026-03-01T00:00:00+00:00", "audit")
OTHERS = Task("elsewhere", "nightly", "manual__2026-03-01T00:00:00+00:00", "audit")


@dataclass
class ApiServer:
    """Airflow's API server, without the other components: the jobs are published by the tests."""

    url: str
    process: ManagedProcess
    broker: EmbeddedBroker

    def user(self, name: str | None = None) -> httpx.Client:
        """Return a client of the board, logged in to Airflow."""
        cookies = {}
        if name is not None:
            login = {"username": name, "password": PASSWORDS[name]}
            url = f"{self.url}/auth/token"
            answer = httpx.post(url, json=login, timeout=60, trust_env=False).raise_for_status()
            cookies["_token"] = answer.json()["access_token"]
        board = f"{self.url}/kafka-bridge"
        return httpx.Client(base_url=board, cookies=cookies, timeout=60, trust_env=False)

    def submit(self, task: Task | None) -> str:
        """Publish a request for a job that runs until it is stopped; return its id."""
        request = JobRequest(
            correlation_id=new_correlation_id(),
            job_type="patient.waits",
            response_topic="jobs.responses",
            created_at=utc_now(),
            heartbeat_interval_ms=1_000,
            task=task,
        )
        settings = KafkaConfig({"bootstrap.servers": self.broker.bootstrap_servers})
        with RecordProducer(settings, 60) as producer:
            producer.publish(
                TOPIC,
                request.correlation_id.encode(),
                encode(request, Encoding.AVRO),
                request_headers(request, Encoding.AVRO),
            )
        return request.correlation_id


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    """Run a broker, and a worker whose jobs wait to be stopped."""
    with EmbeddedBroker() as broker:
        for topic in (TOPIC, "jobs.responses", "jobs.control", "jobs.dead-letters"):
            broker.create_topic(topic)
        servers = {"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        worker = subprocess.Popen(
            [*COMMAND, "patient_service:worker", "--app-dir", str(HERE)],
            env={**os.environ, **servers},
        )
        try:
            yield broker
        finally:
            worker.kill()
            worker.wait()


@pytest.fixture(scope="module")
def server(
    broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory, eventually: Eventually
) -> Iterator[ApiServer]:
    """Run an API server whose address has a path, as behind a proxy."""
    home, port = tmp_path_factory.mktemp("airflow"), free_port()
    url = f"http://127.0.0.1:{port}/team"
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    (home / "dags").mkdir()
    env = config.component_environment(
        home,
        home / "dags",
        port=port,
        parallelism=1,
        database_url=config.sqlite_url(home),
    )
    env |= {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:admin,vic:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__KAFKA_BRIDGE__SOURCE": OURS.source,
        "AIRFLOW__KAFKA_BRIDGE__BOARD_REQUEST_TOPICS": TOPIC,
        **config.connection_variables(
            {
                "kafka_default": {
                    "conn_type": "kafka",
                    "extra": {"bootstrap.servers": broker.bootstrap_servers},
                }
            }
        ),
    }

    def process(name: str, *arguments: str) -> ManagedProcess:
        command = [sys.executable, "-P", "-m", "airflow", *arguments]
        log = home / "logs" / f"{name}.log"
        return ManagedProcess(name, command, env=env, cwd=home, log_path=log)

    migration = process("db_migrate", "db", "migrate")
    migration.start()
    assert migration.wait(START_SECONDS) == 0, migration.tail()
    running = process("api_server", "api-server")
    running.start()

    def is_up() -> bool:
        running.check()
        try:
            return httpx.get(f"{url}/api/v2/version", trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        eventually(is_up, "the API server answers", START_SECONDS)
        yield ApiServer(url, running, broker)
    finally:
        running.kill()


def test_users_see_and_cancel_jobs_as_airflow_says(
    server: ApiServer, eventually: Eventually
) -> None:
    """A viewer sees the jobs of DAGs, an administrator all jobs; without a login, none is seen."""
    ours, others = server.submit(OURS), server.submit(OTHERS)
    with server.user() as nobody, server.user("vic") as viewer, server.user("ann") as admin:
        page = nobody.get("/")
        assert (page.status_code, page.is_redirect) == (303, True)
        assert page.headers["location"].startswith("/team/api/v2/auth/login?next=%2Fteam%2Fkafka-")
        assert nobody.get("/api/jobs").status_code == 401
        assert nobody.post(f"/api/jobs/{ours}/cancel", json={}).status_code in {401, 403}

        assert 'data-airflow-root="/team/"' in viewer.get("/").raise_for_status().text
        eventually(lambda: _jobs(admin) == {ours: "RUNNING", others: "RUNNING"}, "all jobs run")
        assert _jobs(viewer) == {ours: "RUNNING"}
        task = {"dag_id": OURS.dag_id, "run_id": OURS.run_id, "task_id": OURS.task_id}
        assert list(_jobs(viewer, map_index=-1, **task)) == [ours]
        assert _jobs(viewer, map_index=3, **task) == {}
        assert viewer.get(f"/api/jobs/{others}").status_code == 404
        assert _cancel(viewer, ours) == 403

        assert _cancel(admin, ours, {"Sec-Fetch-Site": "cross-site"}) == 403
        assert _cancel(admin, ours) == 202
        eventually(lambda: _jobs(viewer) == {ours: "CANCELLED"}, "the job is cancelled")


def test_page_has_its_places_in_airflow(server: ApiServer) -> None:
    """In the navigation, and at each task."""
    with server.user("ann") as admin:
        answer = admin.get(f"{server.url}/api/v2/plugins").raise_for_status().json()
        (plugin,) = (each for each in answer["plugins"] if each["name"] == "kafka_bridge")
        assert {each["destination"] for each in plugin["external_views"]} == {
            "nav",
            "task_instance",
        }
        for each in plugin["external_views"]:
            assert each["href"].startswith("/team/kafka-bridge/")
            admin.get(each["icon"].removeprefix("/team/kafka-bridge")).raise_for_status()


def test_api_server_stops_while_a_page_is_open(server: ApiServer) -> None:
    """Its stream of events ends, for which the server would wait. It is the last of these tests."""
    with server.user("ann") as admin, admin.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 3000"
        server.process.ask_to_stop()
        assert list(lines)
    server.process.wait(STOP_SECONDS)


def _jobs(user: httpx.Client, **query: Any) -> dict[str, str]:
    answer = user.get("/api/jobs", params=query).raise_for_status().json()
    return {each["correlation_id"]: each["state"] for each in answer["jobs"]}


def _cancel(user: httpx.Client, job: str, headers: dict[str, str] | None = None) -> int:
    sent = {"Sec-Fetch-Site": "same-origin"} if headers is None else headers
    return user.post(f"/api/jobs/{job}/cancel", json={"reason": "test"}, headers=sent).status_code
