"""A task whose deferral is reported late, on a real Airflow whose processes are frozen for that."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from kafka_bridge.testing.freezing import freeze
from kafka_bridge.testing.local_airflow import Component, LocalAirflow

from .runs import Run

LATE_SECONDS = 10.0
"""How long the deferral takes: longer than the time for which a task is held after it."""
UNREPORTED_SECONDS = 4.0
"""How long the end of the process that deferred goes unnoticed after that."""


@pytest.mark.long
@pytest.mark.usefixtures("patient_service")
def test_task_is_not_resumed_before_its_first_process_is_reported(
    airflow: LocalAirflow, begin: Callable[..., Run], tmp_path: Path
) -> None:
    """A machine so busy that a deferral takes ten seconds does not cost a task whose job succeeds.

    Its job has ended long before. Resumed as soon as its trigger runs, the task would be failed:
    the executor reports only then that the process which deferred has ended.
    """
    run = begin("slow_deferral", conf={"folder": str(tmp_path)})
    run.eventually((tmp_path / "supervisor").exists, "the task is about to defer")
    supervisor = int((tmp_path / "supervisor").read_text())
    run.until_ended(run.until_at_work())
    time.sleep(LATE_SECONDS)
    airflow.pause(Component.API_SERVER)
    try:
        (tmp_path / "go").touch()
        run.eventually(lambda: is_waiting_for(airflow, supervisor), "the deferral is reported")
        freeze(supervisor)  # and does not hear that this was heard
    finally:
        airflow.resume(Component.API_SERVER)
    try:
        run.wait_for_task("deferred", "scheduled", "queued", "running")
        time.sleep(UNREPORTED_SECONDS)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    report = f"Received executor event with state success for task instance {run_key(run)}"
    log = airflow.log_path(Component.SCHEDULER)
    run.eventually(lambda: report in log.read_text(), "the process's end is reported")
    (tmp_path / "reported").touch()
    assert run.wait() == "success"
    assert run.result() == 1


def run_key(run: Run) -> str:
    """Return how Airflow's log names the task of a run, as far as that is certain."""
    return f"TaskInstanceKey(dag_id='{run.dag_id}', task_id='work', run_id='{run.run_id}'"


def is_waiting_for(airflow: LocalAirflow, process: int) -> bool:
    """Tell whether the API server, which is frozen, has a request of this process unread."""
    port = urlsplit(airflow.base_url).port
    clients = {each.laddr.port for each in psutil.Process(process).net_connections("tcp4")}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        here, there = (int(each.rpartition(":")[2], 16) for each in (local, remote))
        if here == port and there in clients and int(queues.partition(":")[2], 16):
            return True
    return False
