"""``kafka-bridge doctor airflow`` as a program, beside a real Airflow and without one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kafka_bridge.testing import Broker
from kafka_bridge.testing.local_airflow import LocalAirflow

pytestmark = pytest.mark.airflow_versions

COMMAND = [sys.executable, "-P", "-m", "kafka_bridge", "doctor", "airflow"]
SECRET = "a-secret-word-in-the-database"
NOWHERE = {
    "AIRFLOW__API__BASE_URL": "http://127.0.0.1:9",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://127.0.0.1:9/execution/",
}
"""Where no API server answers."""


def doctor(environ: dict[str, str]) -> tuple[int, dict[str, list[tuple[str, str]]], str]:
    """Return the exit code, levels and texts by check, and the whole output."""
    done = subprocess.run(
        [*COMMAND, "--json", "--timeout", "240"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, list[tuple[str, str]]] = {}
    for each in json.loads(done.stdout)["findings"]:
        found.setdefault(each["check"], []).append((each["level"], each["text"]))
    return done.returncode, found, done.stdout + done.stderr


def doctor_while_a_triggerer_runs(
    environ: dict[str, str],
) -> tuple[int, dict[str, list[tuple[str, str]]], str]:
    """Ask again if the triggerer seems dead: here it does so after 10 s without a heartbeat."""
    for _ in range(10):
        answer = doctor(environ)
        if answer[1]["triggerer"][0][0] == "ok":
            break
    return answer


def test_running_airflow_is_healthy(
    airflow: LocalAirflow,
    workers: list[subprocess.Popen[bytes]],
    eventually: Callable[..., None],
) -> None:
    """Provider, plugin, options, triggerer, connection and Kafka: each is found."""
    environ = {**airflow._env, "AIRFLOW__KAFKA_BRIDGE__REQUEST_TOPIC": "test.requests"}

    def members() -> str:
        ((level, text),) = doctor(environ)[1]["consumers"]
        return text if level == "ok" else ""

    eventually(lambda: "(2 members, " in members(), "both workers are in their group")
    _, found, output = doctor_while_a_triggerer_runs(environ)
    assert found["provider"] == [("ok", "Airflow has loaded the provider airflow-kafka-bridge")]
    assert found["plugin"][0][0] == "ok"
    assert found["[kafka_bridge]"] == [("ok", "all options are known and valid")]
    ((level, text),) = found["triggerer"]
    assert (level, text[:28]) == ("ok", "healthy; its last heartbeat:"), output
    ((level, text),) = found["connection 'kafka_default'"]
    assert (level, text) == (
        "ok",
        "found in the environment or a secrets backend; its properties: bootstrap.servers, "
        "group.id",
    )


def test_database_is_asked_if_the_api_server_does_not_answer(
    airflow: LocalAirflow, jobs_broker: Broker, unique_name: Callable[[str], str]
) -> None:
    """For the triggerer, and for a connection that only the database has. No secret is printed."""
    name = unique_name("stored").replace("-", "_")
    extra = {"bootstrap.servers": jobs_broker.bootstrap_servers, "sasl.password": SECRET}
    body: dict[str, Any] = {
        "connection_id": name,
        "conn_type": "kafka",
        "extra": json.dumps(extra),
    }
    airflow.api.post("connections", body)
    environ = {**airflow._env, **NOWHERE, "AIRFLOW__KAFKA_BRIDGE__KAFKA_CONFIG_ID": name}
    _, found, output = doctor_while_a_triggerer_runs(environ)
    assert found["triggerer"][0][1].startswith("healthy; its last heartbeat: "), output
    assert found[f"connection '{name}'"] == [
        (
            "ok",
            "found in Airflow's database; its properties: bootstrap.servers, sasl.password",
        )
    ]
    assert found["connection"][0][0] == "ok"
    assert SECRET not in output
    absent = {**environ, "AIRFLOW__KAFKA_BRIDGE__KAFKA_CONFIG_ID": "nowhere"}
    code, found, _ = doctor(absent)
    assert code == 1
    assert found["connection 'nowhere'"] == [
        (
            "error",
            "not in the environment (AIRFLOW_CONN_NOWHERE), a secrets backend or Airflow's "
            "database",
        )
    ]


def test_machine_without_database_says_what_it_cannot_ask(
    airflow: LocalAirflow, tmp_path: Path
) -> None:
    """As a worker of Airflow: the triggerer is not known, and no database file is created."""
    environ = {
        name: value
        for name, value in airflow._env.items()
        if not name.startswith(("AIRFLOW__DATABASE__", "AIRFLOW_CONN_"))
    }
    code, found, _ = doctor({**environ, **NOWHERE, "AIRFLOW_HOME": str(tmp_path)})
    assert code == 0
    ((level, text),) = found["triggerer"]
    assert level == "warning"
    assert "the API server did not answer at http://127.0.0.1:9/api/v2/monitor/health" in text
    assert "this machine has no metadata database" in text
    ((level, text),) = found["connection 'kafka_default'"]
    assert level == "warning"
    assert text.startswith("not in the environment (AIRFLOW_CONN_KAFKA_DEFAULT) or a secrets")
    assert found["Kafka"] == [("warning", "not checked, because Airflow's connection is not known")]
    assert not (tmp_path / "airflow.db").exists()
