"""The same work by polling, by callback and by a worker: Airflow cannot tell which is which."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import airflow as installed_airflow
import pytest

from demo.gateway import CALLBACK_TOPIC, GATEWAY_TOPIC, gateway, http_service
from kafka_bridge.testing import Broker, TopicExists
from kafka_bridge.testing.local_airflow import LocalAirflow
from kafka_bridge.testing.ports import free_port

DAG_ID = "three_patterns"
TASKS = ("by_polling", "by_callback", "by_worker")
pytestmark = pytest.mark.usefixtures("file_auditor", "example_gateway")


@pytest.fixture(scope="module")
def example_gateway(
    jobs_broker: Broker, eventually: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Run the example's HTTP service, and the gateway that has it do jobs."""
    for topic in (CALLBACK_TOPIC, GATEWAY_TOPIC):
        with contextlib.suppress(TopicExists):
            jobs_broker.create_topic(topic, 4)
    home, port = tmp_path_factory.mktemp("gateway"), free_port()
    service = http_service(home, port)
    between = gateway(home, jobs_broker.bootstrap_servers, port)
    with contextlib.ExitStack() as started:
        for process in (service, between):
            process.start()
            started.callback(process.stop, 20)
        eventually(lambda: "Ready for jobs" in between.tail(), "the gateway is ready")
        yield
        service.check()
        between.check()


def _log(airflow: LocalAirflow, run_id: str, task_id: str) -> str:
    return "\n".join(str(line) for line in airflow.task_log(DAG_ID, run_id, task_id))


def test_three_patterns_report_the_same_count_and_their_progress(airflow: LocalAirflow) -> None:
    """All three report what an independent count of the tree says, and progress on the way."""
    root = Path(installed_airflow.__path__[0])
    run_id = airflow.trigger(DAG_ID, conf={"files_per_second": 250})
    assert airflow.wait_for_run(DAG_ID, run_id, 240) == "success"

    contents = [path.read_bytes() for path in sorted(root.rglob("*.py"))]
    digests = b"".join(hashlib.sha256(content).digest() for content in contents)
    for task in TASKS:
        report = airflow.xcom(DAG_ID, run_id, task)
        assert report["files"] == len(contents)
        assert report["sha256"] == hashlib.sha256(digests).hexdigest()
        log = _log(airflow, run_id, task)
        assert "Accepted by worker" in log
        assert f"of {len(contents):,} files" in log
        assert " – hashing " in log
    assert airflow.xcom(DAG_ID, run_id, "compare") == airflow.xcom(DAG_ID, run_id, "by_worker")


def test_failure_has_the_words_of_the_service_that_failed(airflow: LocalAirflow) -> None:
    """A directory that is not there fails each task in the words of its service or worker."""
    run_id = airflow.trigger(DAG_ID, conf={"directory": "/no/such/directory"})
    assert airflow.wait_for_run(DAG_ID, run_id, 240) == "failed"
    for task in TASKS:
        words = "directory_not_found: /no/such/directory is not a directory on this machine"
        assert words in _log(airflow, run_id, task)
