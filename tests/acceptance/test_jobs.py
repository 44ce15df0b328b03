"""Jobs through a real scheduler and triggerer, on real Kafka, done by real worker processes."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path

import airflow as installed_airflow
import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.topics import RESPONSE_TOPIC
from kafka_bridge.testing import Broker
from kafka_bridge.testing.local_airflow import Component, LocalAirflow

from .topic_contents import events_of_job, requests_of_run

TOPIC = "test.requests"
pytestmark = pytest.mark.usefixtures("workers")


@pytest.fixture(scope="module")
def runs(airflow: LocalAirflow, file_auditor: subprocess.Popen[bytes]) -> dict[str, str]:
    """Begin one run of each DAG whose jobs nothing disturbs."""
    conf = {"audit_files": {"files_per_second": 500}}
    dag_ids = ("audit_files", "map_jobs", "failing_job")
    return {dag_id: airflow.trigger(dag_id, conf=conf.get(dag_id)) for dag_id in dag_ids}


def _log(airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str) -> str:
    return "\n".join(str(line) for line in airflow.task_log(dag_id, run_id, task_id))


def _only_job(broker: Broker, run_id: str) -> str:
    (request,) = requests_of_run(broker.bootstrap_servers, TOPIC, run_id)
    return request.correlation_id


def _states(broker: Broker, correlation_id: str) -> Counter[JobState]:
    events = events_of_job(broker.bootstrap_servers, RESPONSE_TOPIC, correlation_id)
    return Counter(event.state for event in events)


@pytest.mark.airflow_versions
def test_audit_files(airflow: LocalAirflow, runs: dict[str, str]) -> None:
    """The report of the audit is the task's XCom and equals an independent count of the tree.

    Its progress stands in the task's log, in words.
    """
    root = Path(installed_airflow.__path__[0])
    run_id = runs["audit_files"]
    assert airflow.wait_for_run("audit_files", run_id, 240) == "success"

    report = airflow.xcom("audit_files", run_id, "audit")
    contents = [path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()]
    assert report["files"] == len(contents)
    assert report["bytes"] == sum(len(content) for content in contents)
    assert sum(report["lines_by_suffix"].values()) == sum(c.count(b"\n") for c in contents)
    digests = b"".join(hashlib.sha256(content).digest() for content in contents)
    assert report["sha256"] == hashlib.sha256(digests).hexdigest()

    log = _log(airflow, "audit_files", run_id, "audit")
    assert "Accepted by worker" in log
    assert f"of {len(contents):,} files – hashing " in log
    printed = _log(airflow, "audit_files", run_id, "print_report")
    assert f"{len(contents):,} files, {report['bytes']:,} bytes" in printed


@pytest.mark.airflow_versions
def test_failing_job(airflow: LocalAirflow, runs: dict[str, str]) -> None:
    """A worker's exception fails the task; its type, message and traceback are in the log."""
    run_id = runs["failing_job"]
    assert airflow.wait_for_run("failing_job", run_id, 240) == "failed"
    log = _log(airflow, "failing_job", run_id, "fail")
    assert "FileNotFoundError: [Errno 2] No such file or directory: '/no/such" in log
    assert "Traceback (most recent call last):" in log
    assert 'file_auditor.py", line' in log


@pytest.mark.airflow_versions
def test_map_jobs(airflow: LocalAirflow, runs: dict[str, str]) -> None:
    """Mapped tasks each get their own result, and a later task all of them."""
    run_id = runs["map_jobs"]
    assert airflow.wait_for_run("map_jobs", run_id, 240) == "success"
    root = Path(installed_airflow.__path__[0])
    counts = [
        sum(1 for path in (root / name).rglob("*") if path.is_file())
        for name in ("api", "cli", "jobs", "models")
    ]
    assert airflow.xcom("map_jobs", run_id, "total") == sum(counts)
    mapped = [airflow.xcom("map_jobs", run_id, "audit", map_index=n)["files"] for n in range(4)]
    assert mapped == counts


@pytest.mark.airflow_versions
def test_reply_before_the_trigger_exists(
    airflow: LocalAirflow, jobs_broker: Broker, eventually: object
) -> None:
    """A job that ended while no triggerer ran completes its task once there is one."""
    airflow.stop(Component.TRIGGERER)
    try:
        run_id = airflow.trigger("slow_job", conf={"seconds": 0.1})
        airflow.wait_for_task("slow_job", run_id, "work", {"deferred"}, 240)
        job = _only_job(jobs_broker, run_id)
        assert callable(eventually)
        eventually(lambda: TERMINAL & _states(jobs_broker, job).keys(), "the worker ended the job")
    finally:
        airflow.start(Component.TRIGGERER)
    assert airflow.wait_for_run("slow_job", run_id, 240) == "success"
    assert airflow.xcom("slow_job", run_id, "work")["number"] is None


@pytest.mark.airflow_versions
def test_task_and_triggerer_find_a_connection_in_airflows_database(
    airflow: LocalAirflow, jobs_broker: Broker
) -> None:
    """Other tests have their connection in the environment, where no process has to ask for it."""
    extra = json.dumps({"bootstrap.servers": jobs_broker.bootstrap_servers})
    connection = {"connection_id": "kafka_stored", "conn_type": "kafka", "extra": extra}
    airflow.api.post("connections", connection)
    run_id = airflow.trigger("stored_connection")
    airflow.wait_for_task("stored_connection", run_id, "work", {"deferred"}, 180)
    assert airflow.wait_for_run("stored_connection", run_id, 180) == "success"


@pytest.mark.airflow_versions
def test_triggerer_killed_while_a_job_runs(airflow: LocalAirflow, jobs_broker: Broker) -> None:
    """A triggerer killed with -9 costs nothing: the next one completes the task, the job ran once.

    Nothing was published a second time, and the worker accepted the job once.
    """
    run_id = airflow.trigger("slow_job", conf={"seconds": 8})
    airflow.wait_for_task("slow_job", run_id, "work", {"deferred"}, 240)
    airflow.kill(Component.TRIGGERER)
    airflow.start(Component.TRIGGERER)
    assert airflow.wait_for_run("slow_job", run_id, 240) == "success"
    states = _states(jobs_broker, _only_job(jobs_broker, run_id))
    assert states[JobState.ACCEPTED] == 1
    assert states[JobState.SUCCEEDED] == 1


def test_two_workers_share_twenty_mapped_jobs(airflow: LocalAirflow, jobs_broker: Broker) -> None:
    """Two worker processes of one group do each of twenty mapped jobs once, and both take part."""
    run_id = airflow.trigger("twenty_jobs")
    assert airflow.wait_for_run("twenty_jobs", run_id, 240) == "success"
    results = [airflow.xcom("twenty_jobs", run_id, "work", map_index=n) for n in range(20)]
    assert [result["number"] for result in results] == list(range(20))
    assert len({result["process"] for result in results}) == 2
    requests = requests_of_run(jobs_broker.bootstrap_servers, TOPIC, run_id)
    assert len(requests) == 20
    for request in requests:
        assert _states(jobs_broker, request.correlation_id)[JobState.ACCEPTED] == 1


def test_junk_on_the_response_topic(airflow: LocalAirflow, jobs_broker: Broker) -> None:
    """Records that are no responses do not disturb waiting jobs, not even under a job's own key."""
    run_id = airflow.trigger("slow_job", conf={"seconds": 4})
    airflow.wait_for_task("slow_job", run_id, "work", {"deferred"}, 240)
    job = _only_job(jobs_broker, run_id).encode()
    foreign = new_correlation_id().encode()
    config = KafkaConfig({"bootstrap.servers": jobs_broker.bootstrap_servers})
    with RecordProducer(config) as producer:
        for key in (job, foreign, None, b"\xff"):
            for value in (b"junk", b"\xc3\x01" + b"\xff" * 40, b"{", None):
                producer.publish(RESPONSE_TOPIC, key, value, [])
    assert airflow.wait_for_run("slow_job", run_id, 240) == "success"
    log = _log(airflow, "slow_job", run_id, "work")
    assert "A response to this job cannot be read: jobs.responses[" in log
    assert "Counted to 40" in log  # the worker's own line, in the triggerer
