"""Jobs of a real Airflow that a gateway has programs do, and another Airflow by its REST API."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.gateway.http.scripted import Reply, Request, serving

from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.topics import RESPONSE_TOPIC
from kafka_bridge.testing import Broker, TopicExists
from kafka_bridge.testing.local_airflow import LocalAirflow
from kafka_bridge.testing.local_airflow.launcher import all_pids

from .topic_contents import events_of_job, requests_of_run

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
PROGRAMS, ELSEWHERE = "programs.requests", "elsewhere.requests"
MOODY = "moody.requests"
RUN = "/api/v2/dags/{payload.dag_id}/dagRuns/{external_id}"


def programs() -> dict[str, Any]:
    """Return job types that programs do."""
    audit = [sys.executable, str(EXAMPLES / "audit_command.py"), "{payload.directory}", "80"]
    family = ["sh", str(HERE / "family.sh"), "{payload.file}"]
    return {"audit": {"command": audit}, "family": {"command": family, "kill_after": 1}}


def dag_runs() -> dict[str, Any]:
    """Return the job type that another Airflow does, by what its REST API is documented to do."""
    return {
        "service": "airflow",
        "submit": {
            "path": "/api/v2/dags/{payload.dag_id}/dagRuns",
            "body": "{dag_run_id: job_id, conf: payload.conf, logical_date: `null`}",
        },
        "polling": {"path": RUN, "interval": 0.5, "maximum": 1},
        "answer": {"state": "state", "succeeded": ["success"], "failed": ["failed"]},
        "result": {
            "path": f"{RUN}/taskInstances/{{payload.task_id}}/xcomEntries/return_value",
            "value": "value",
        },
    }


@pytest.fixture(scope="module")
def start_gateway(
    airflow: LocalAirflow,
    jobs_broker: Broker,
    eventually: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., None]]:
    """Give a function that runs a gateway with a file until the module's tests are done."""
    for topic in (PROGRAMS, ELSEWHERE, MOODY):
        with contextlib.suppress(TopicExists):
            jobs_broker.create_topic(topic, 4)
    started: list[subprocess.Popen[bytes]] = []

    def start(file: dict[str, Any]) -> None:
        folder = tmp_path_factory.mktemp("gateway")
        path, log = folder / "gateway.yaml", folder / "gateway.log"
        path.write_text(
            yaml.safe_dump({"group_id": file["request_topic"], **file}, sort_keys=False)
        )
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "kafka_bridge", "gateway", "run", str(path)],
                env={**os.environ, "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": jobs_broker.bootstrap_servers},
                stderr=output,
            )
        started.append(process)
        eventually(lambda: "Ready for jobs" in log.read_text(), "the gateway is ready")

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., None]) -> None:
    """Run a gateway that has programs do its jobs."""
    start_gateway({"request_topic": PROGRAMS, "jobs": programs()})


def begin(
    airflow: LocalAirflow, job_type: str, payload: dict[str, Any], topic: str = PROGRAMS
) -> str:
    """Begin a run whose task has a job of this type done; return its id."""
    conf = {"job_type": job_type, "payload": payload, "topic": topic}
    return airflow.trigger("gateway_job", conf=conf)


def log_of(airflow: LocalAirflow, run_id: str) -> str:
    """Return what the task's log says."""
    return "\n".join(map(str, airflow.task_log("gateway_job", run_id, "work")))


@pytest.mark.usefixtures("gateway")
def test_program_logs_progress_and_returns_its_last_line(
    airflow: LocalAirflow, tmp_path: Path
) -> None:
    """Its progress stands in the task's log, its last line is the result."""
    for number in range(200):
        (tmp_path / f"{number:03}.txt").write_text(f"file {number}\n")
    run_id = begin(airflow, "audit", {"directory": str(tmp_path)})
    assert airflow.wait_for_run("gateway_job", run_id, 240) == "success"
    report = airflow.xcom("gateway_job", run_id, "work")
    contents = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    digests = b"".join(hashlib.sha256(content).digest() for content in contents)
    assert (report["files"], report["bytes"]) == (200, sum(map(len, contents)))
    assert report["sha256"] == hashlib.sha256(digests).hexdigest()
    log = log_of(airflow, run_id)
    assert "Accepted by worker" in log
    assert "of 200 files – hashing" in log


@pytest.mark.usefixtures("gateway")
def test_failed_program_gives_its_standard_error_as_the_tasks_error(airflow: LocalAirflow) -> None:
    """What it wrote to its standard error is the task's error."""
    run_id = begin(airflow, "audit", {"directory": "/no/such/folder"})
    assert airflow.wait_for_run("gateway_job", run_id, 240) == "failed"
    log = log_of(airflow, run_id)
    assert "exit_code_1: " in log
    assert "/no/such/folder is not a directory on this machine" in log


@pytest.mark.usefixtures("gateway")
def test_cancelled_program_ends_with_all_its_children(
    airflow: LocalAirflow,
    jobs_broker: Broker,
    eventually: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Marking the task failed ends it, with its children and theirs; CANCELLED confirms that."""
    family = tmp_path / "family"
    run_id = begin(airflow, "family", {"file": str(family)})
    airflow.wait_for_task("gateway_job", run_id, "work", {"deferred"}, 240)
    eventually(lambda: family.exists() and len(family.read_text().split()) == 4, "all run")
    eventually(lambda: "all are there" in log_of(airflow, run_id), "it is watched")
    pids = {int(pid) for pid in family.read_text().split()}
    assert pids <= set(all_pids())
    airflow.mark_task("gateway_job", run_id, "work", "failed")
    eventually(lambda: not pids & set(all_pids()), "all are gone")
    (request,) = requests_of_run(jobs_broker.bootstrap_servers, PROGRAMS, run_id)

    def last() -> JobState:
        events = events_of_job(
            jobs_broker.bootstrap_servers, RESPONSE_TOPIC, request.correlation_id
        )
        return events[-1].state

    eventually(lambda: last() is JobState.CANCELLED, "it is confirmed")


def test_service_without_status_for_long_fails_the_task_and_stops_the_job(
    airflow: LocalAirflow, start_gateway: Callable[..., None]
) -> None:
    """For a moment, it costs no task; for longer, the task fails and the service does not go on."""

    def answer(asked: Request) -> Reply:
        if asked.line.startswith("GET /moment/"):
            polls = len([each for each in service.requests if each.line == asked.line])
            refusals = {1: 404, 2: 401, 3: 302}
            if polls in refusals:
                return Reply({"detail": "who are you?"}, status=refusals[polls])
            return Reply({"status": "COMPLETED", "result": {"polls": polls}})
        return Reply({"detail": "forbidden"}, status=403 if asked.line.startswith("GET") else 202)

    def job(name: str, give_up_after: float) -> dict[str, Any]:
        path = f"/{name}/{{external_id}}"
        return {
            "service": "moody",
            "submit": {"path": f"/{name}/{{job_id}}"},
            "polling": {"path": path, "interval": 0.3, "give_up_after": give_up_after},
            "cancel": {"method": "DELETE", "path": path},
        }

    with serving() as service:
        service.reply_if = answer
        start_gateway(
            {
                "request_topic": MOODY,
                "services": {"moody": {"url": service.url}},
                "jobs": {"moment": job("moment", 60), "longer": job("longer", 2)},
            }
        )
        moment, longer = (begin(airflow, name, {}, MOODY) for name in ("moment", "longer"))
        assert airflow.wait_for_run("gateway_job", moment, 240) == "success"
        assert airflow.xcom("gateway_job", moment, "work") == {"polls": 4}
        assert airflow.wait_for_run("gateway_job", longer, 240) == "failed"
        log = log_of(airflow, longer)
        assert "http_403: no usable answer about the job for" in log
        assert "; the service cancelled it" in log
        deleted = [each.line for each in service.requests if each.line.startswith("DELETE")]
        assert len(deleted) == 1
        assert deleted[0].startswith("DELETE /longer/")


@pytest.fixture(scope="module")
def other_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """Run a second Airflow, which has no part in the bridge: a service that runs DAGs."""
    home = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(HERE / "dags_elsewhere", home / "dags")
    with LocalAirflow(home, home / "dags") as running:
        yield running


@pytest.mark.long
def test_yaml_file_alone_drives_another_airflow_by_its_rest_api(
    airflow: LocalAirflow,
    start_gateway: Callable[..., None],
    other_airflow: LocalAirflow,
    tmp_path: Path,
) -> None:
    """A service not written here, driven by the file alone: started, polled, its result fetched.

    What it says of a request that it refuses is the task's error.
    """
    import httpx

    token = tmp_path / "token"
    url = other_airflow.api.base_url
    token.write_text(httpx.get(f"{url}/auth/token", trust_env=False).json()["access_token"])
    service = {"url": url, "auth": {"bearer": {"file": str(token)}}}
    start_gateway(
        {"request_topic": ELSEWHERE, "services": {"airflow": service}, "jobs": {"run": dag_runs()}}
    )
    good = {"dag_id": "sum_up", "task_id": "add", "conf": {"numbers": [1, 2, 39]}}
    bad = good | {"dag_id": "no_such_dag"}
    runs = [begin(airflow, "run", each, ELSEWHERE) for each in (good, bad)]
    assert airflow.wait_for_run("gateway_job", runs[0], 240) == "success"
    assert airflow.xcom("gateway_job", runs[0], "work") == {"sum": 42}
    assert airflow.wait_for_run("gateway_job", runs[1], 240) == "failed"
    log = log_of(airflow, runs[1])
    assert "http_404: POST http://127.0.0.1:" in log
    assert "no_such_dag/dagRuns: 404 Not Found" in log
    assert "Dag with dag_id: 'no_such_dag' not found" in log
