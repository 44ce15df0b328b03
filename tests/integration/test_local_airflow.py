"""The local Airflow: that it works, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from kafka_bridge.testing import ports
from kafka_bridge.testing.local_airflow import (
    ApiError,
    Component,
    ComponentFailed,
    DagImportFailed,
    LocalAirflow,
    WaitTimedOut,
    config,
)
from kafka_bridge.testing.local_airflow.logs import parse_log
from kafka_bridge.testing.local_airflow.processes import ManagedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAGS = Path(__file__).parent / "dags_for_harness"
RUN_SECONDS = 90
SERVICE = {"conn_type": "http", "host": "service.example", "password": "pa:ss/word"}

# A command with a child, and a grandchild in a process group of its own, as a task's is.
FAMILY = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        os.setpgid(0, 0)
print("up", flush=True)
time.sleep(600)
"""
PARENT = """
import os, sys, time
from pathlib import Path
from kafka_bridge.testing.local_airflow.processes import ManagedProcess

process = ManagedProcess(
    "family", sys.argv[1:], env=dict(os.environ), cwd=Path.cwd(), log_path=Path("family.log")
)
process.start()
print(process.session, flush=True)
time.sleep(600)
"""


def airflow_environment() -> dict[str, str]:
    """Make the trigger importable, and let a dead triggerer be noticed in 6 s instead of 30 s."""
    search_path = filter(None, [str(DAGS / "lib"), os.environ.get("PYTHONPATH")])
    return {
        "PYTHONPATH": os.pathsep.join(search_path),
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    }


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """Run one Airflow for all tests."""
    home = tmp_path_factory.mktemp("airflow")
    connections = {"harness_service": SERVICE}
    with LocalAirflow(
        home, DAGS, connections=connections, env=airflow_environment()
    ) as local_airflow:
        yield local_airflow


def eventually(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until ``condition`` holds; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def living_members(session: int) -> list[psutil.Process]:
    """Return the processes of a session that are not zombies."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.NoSuchProcess):
            continue
    return found


def is_frozen(process: psutil.Process) -> bool:
    """Whether a process got SIGSTOP."""
    return bool(process.status() == psutil.STATUS_STOPPED)


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the processes that were started for an Airflow in ``home``."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("AIRFLOW_HOME") == str(home)
    ]


def family(tmp_path: Path) -> ManagedProcess:
    """Return a process, not started, with three generations."""
    return ManagedProcess(
        "family",
        [sys.executable, "-c", FAMILY],
        env=dict(os.environ),
        cwd=tmp_path,
        log_path=tmp_path / "family.log",
    )


@pytest.mark.long
def test_task_reads_connection_and_returns_xcom(airflow: LocalAirflow, tmp_path: Path) -> None:
    """Tasks and triggers see the connections handed in; XComs and logs come back as written."""
    ready = tmp_path / "ready"
    ready.write_text("hello")
    run_id = airflow.trigger("harness", {"file": str(ready)}, run_id="manual__2026-01-01T00:00+x")
    assert run_id == "manual__2026-01-01T00:00+x"
    assert airflow.wait_for_run("harness", run_id, RUN_SECONDS) == "success"
    assert airflow.xcom("harness", run_id, "answer") == {
        "answer": 42,
        "host": "service.example",
        "nested": {"list": [1, None, "ä"]},
    }
    assert airflow.xcom("harness", run_id, "wait") == {"text": "hello", "host": "service.example"}
    answer = {line.event for line in airflow.task_log("harness", run_id, "answer")}
    assert "The answer is on its way" in answer
    waited = {line.event for line in airflow.task_log("harness", run_id, "wait")}
    assert f"Waiting for {ready}" in waited, "a trigger's lines belong to its task's log"


@pytest.mark.long
def test_failing_task_shows_its_error(airflow: LocalAirflow) -> None:
    """A task's exception and its cause can be read from its log."""
    run_id = airflow.trigger("harness_failing")
    assert airflow.wait_for_run("harness_failing", run_id, RUN_SECONDS) == "failed"
    (line,) = (line for line in airflow.task_log("harness_failing", run_id, "fail") if line.error)
    assert line.level == "error"
    assert line.error is not None
    assert "RuntimeError: this is why" in line.error
    assert "invalid literal for int() with base 10: 'the cause'" in line.error
    with pytest.raises(WaitTimedOut, match=r"fail\[-1\]=failed"):
        airflow.wait_for_task("harness_failing", run_id, "fail", {"success"}, RUN_SECONDS)
    with pytest.raises(ApiError, match="404"):
        airflow.xcom("harness_failing", run_id, "fail")


@pytest.mark.long
def test_mapped_tasks_all_run(airflow: LocalAirflow) -> None:
    """Forty mapped tasks get through, more than run at once; each one's XCom can be read."""
    run_id = airflow.trigger("harness_mapped")
    assert airflow.wait_for_run("harness_mapped", run_id, 2 * RUN_SECONDS) == "success"
    assert len(airflow.task_instances("harness_mapped", run_id)) == 40
    assert airflow.xcom("harness_mapped", run_id, "double", map_index=39) == 78
    task = airflow.wait_for_task("harness_mapped", run_id, "double", {"success"}, 5, map_index=39)
    assert task["map_index"] == 39


@pytest.mark.long
def test_killed_triggerer_resumes_its_triggers(airflow: LocalAirflow, tmp_path: Path) -> None:
    """A task that is deferred while the triggerer is killed completes with the next triggerer."""
    ready = tmp_path / "ready"
    run_id = airflow.trigger("harness", {"file": str(ready)})
    airflow.wait_for_task("harness", run_id, "wait", {"deferred"}, RUN_SECONDS)
    session = airflow.session(Component.TRIGGERER)
    assert len(living_members(session)) >= 3, "launcher, supervisor, runner"
    airflow.kill(Component.TRIGGERER)
    assert living_members(session) == []
    ready.write_text("after the crash")
    airflow.start(Component.TRIGGERER)
    assert airflow.wait_for_run("harness", run_id, RUN_SECONDS) == "success"
    assert airflow.xcom("harness", run_id, "wait")["text"] == "after the crash"


@pytest.mark.long
def test_frozen_scheduler_continues_when_it_is_thawed(airflow: LocalAirflow) -> None:
    """A frozen scheduler starts nothing; the wait says what it waited for; thawed, it goes on."""
    airflow.pause(Component.SCHEDULER)
    try:
        run_id = airflow.trigger("harness_failing")
        with pytest.raises(WaitTimedOut, match=f"run {run_id} of harness_failing to end"):
            airflow.wait_for_run("harness_failing", run_id, 2)
    finally:
        airflow.resume(Component.SCHEDULER)
    assert airflow.wait_for_run("harness_failing", run_id, RUN_SECONDS) == "failed"


@pytest.mark.long
def test_every_component_listens_on_loopback_only(airflow: LocalAirflow) -> None:
    """No process of Airflow has a socket that can be reached from outside."""
    members = [p for c in Component for p in living_members(airflow.session(c))]
    sockets = [s for p in members for s in p.net_connections("inet") if s.status == "LISTEN"]
    assert {s.laddr.ip for s in sockets} == {config.LOOPBACK}


@pytest.mark.long
def test_component_that_dies_by_itself_is_an_error(airflow: LocalAirflow, tmp_path: Path) -> None:
    """A wait does not go on when a component has died: it names the component and its log."""
    ready = tmp_path / "ready"
    run_id = airflow.trigger("harness", {"file": str(ready)})
    session = airflow.session(Component.DAG_PROCESSOR)
    (main,) = (p for p in living_members(session) if p.ppid() == session)
    main.kill()
    with pytest.raises(ComponentFailed, match=r"dag_processor ended by itself with status 137"):
        airflow.wait_for_run("harness", run_id, 240)
    airflow.stop(Component.DAG_PROCESSOR)
    airflow.start(Component.DAG_PROCESSOR)
    ready.write_text("")
    assert airflow.wait_for_run("harness", run_id, RUN_SECONDS) == "success"


@pytest.mark.long
def test_start_reports_import_errors(tmp_path: Path) -> None:
    """A broken DAG file fails the start with Airflow's own text, and nothing keeps running."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "broken.py").write_text("# an airflow dag\nimport no_such_module\n")
    with (
        pytest.raises(DagImportFailed, match="No module named 'no_such_module'"),
        LocalAirflow(tmp_path / "home", dags),
    ):
        pytest.fail("must not start")
    assert processes_of(tmp_path / "home") == []


@pytest.mark.long
def test_taken_port_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody else takes the port before Airflow does, it starts on another one."""
    (tmp_path / "dags").mkdir()
    free_port = ports.free_port
    with socket.socket() as taken:
        taken.bind((config.LOOPBACK, 0))
        taken.listen()
        taken_port = taken.getsockname()[1]
        offers = iter([taken_port])
        monkeypatch.setattr(ports, "free_port", lambda: next(offers, None) or free_port())
        with LocalAirflow(tmp_path / "home", tmp_path / "dags") as local_airflow:
            assert next(offers, None) is None
            assert not local_airflow.base_url.endswith(f":{taken_port}")
    assert processes_of(tmp_path / "home") == []


def test_every_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """When the process that runs the harness is killed with -9, three generations die."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, sys.executable, "-c", FAMILY],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert parent.stdout is not None
    session = int(parent.stdout.readline())
    eventually(lambda: len(living_members(session)) == 4)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: living_members(session) == [])


def test_kill_reaches_all_generations_even_when_frozen(tmp_path: Path) -> None:
    """Killing takes every process with it, in whatever process group, frozen or not."""
    process = family(tmp_path)
    process.start()
    session = process.session
    assert session is not None
    eventually(lambda: len(living_members(session)) == 4)
    process.pause()
    eventually(lambda: len([p for p in living_members(session) if is_frozen(p)]) == 3)
    process.kill()
    assert living_members(session) == []
    process.start()
    assert process.is_running()
    process.stop(grace=5)
    assert not process.is_running()


def test_stop_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    """A process that does not heed SIGTERM is killed after the grace."""
    process = ManagedProcess(
        "stubborn",
        [
            sys.executable,
            "-c",
            f"import signal, time; signal.signal({int(signal.SIGTERM)}, "
            "signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
        ],
        env=dict(os.environ),
        cwd=tmp_path,
        log_path=tmp_path / "stubborn.log",
    )
    process.start()
    session = process.session
    assert session is not None
    eventually(lambda: process.tail() == "up")
    begin = time.monotonic()
    process.stop(grace=0.5)
    assert 0.5 <= time.monotonic() - begin < 60
    assert living_members(session) == []


def test_foreign_settings_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow settings of whoever runs the tests have no effect; keys are kept in the home."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "foreign")
    monkeypatch.setenv("AIRFLOW_CONN_FOREIGN", "foreign://")
    first, second = (
        config.component_environment(
            tmp_path, tmp_path, port=1, parallelism=1, database_url="sqlite://"
        )
        for _ in range(2)
    )
    assert "AIRFLOW_CONN_FOREIGN" not in first
    assert first["AIRFLOW__CORE__FERNET_KEY"] not in ("foreign", "")
    assert first == second
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0


def test_log_header_is_left_out() -> None:
    """What the API puts in front of a log, where it was read from, is no part of the log."""
    lines = parse_log(
        [
            {"event": "::group::Log message source details", "timestamp": None},
            {"event": "/somewhere/attempt=1.log"},
            {"event": "::endgroup::"},
            {
                "event": "kept",
                "timestamp": "2026-01-01T00:00:00Z",
                "level": "info",
                "chan": "stdout",
            },
            "a plain line",
        ]
    )
    assert [line.event for line in lines] == ["kept", "a plain line"]
    assert lines[0].fields == {"chan": "stdout"}


def test_chosen_port_is_used_if_it_is_free(tmp_path: Path) -> None:
    """A taken one is replaced by any free port."""
    with socket.create_server((config.LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        airflow = LocalAirflow(tmp_path / "home", tmp_path / "dags", port=port)
        (tmp_path / "home").mkdir()
        airflow._choose_port()
        assert not airflow.base_url.endswith(f":{port}")
    airflow._choose_port()
    assert airflow.base_url == f"http://{config.LOOPBACK}:{port}"
