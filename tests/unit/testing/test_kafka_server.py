"""A broker's process ends with the process that started it, however that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from kafka_bridge.testing import BrokerError
from kafka_bridge.testing.brokers.server import KafkaServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLEEP = ["/bin/sleep", "600"]

PARENT = """
import sys, time
from pathlib import Path
from kafka_bridge.testing.brokers.server import KafkaServer
server = KafkaServer(Path(sys.argv[1]))
server.launch(["/bin/sleep", "600"])
print(server.pid, flush=True)
{then}
"""


def gone(pid: int) -> bool:
    """Return whether a process has ended, even if it is still a zombie."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KafkaServer]:
    """Give a server whose process sleeps."""
    sleeping = KafkaServer(tmp_path)
    sleeping.launch(SLEEP)
    yield sleeping
    sleeping.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    "then",
    ["time.sleep(600)", "import os; os.fork() or time.sleep(600); time.sleep(600)"],
    ids=["alone", "with a fork that lives on"],
)
def test_it_dies_when_its_parent_is_killed(
    tmp_path: Path, eventually: Callable[..., None], then: str
) -> None:
    """After SIGKILL of the parent, its directory is removed too, even if a fork lives on."""
    directory = tmp_path / "data"
    directory.mkdir()
    command = [sys.executable, "-c", PARENT.format(then=then), str(directory)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        eventually(lambda: gone(pid), "the process ends with its parent")
        eventually(lambda: not directory.exists(), "the directory is removed")
        os.killpg(parent.pid, signal.SIGKILL)  # the fork


def test_it_dies_when_the_guard_is_killed(
    server: KafkaServer, eventually: Callable[..., None]
) -> None:
    """It does not outlive the guard process beside it."""
    pid = server.pid
    guard = psutil.Process(pid).parent()
    assert guard is not None
    guard.kill()
    eventually(lambda: gone(pid), "the process ends with its guard")


@pytest.mark.slow
def test_it_survives_the_thread_that_started_it(
    tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """A broker that a thread started lives on when that thread has ended."""
    threaded = "import threading as t; x = t.Thread(target=server.launch, args=[sys.argv[2:]])"
    script = PARENT.replace('server.launch(["/bin/sleep", "600"])', threaded)
    script = script.replace("print(", "x.start(); x.join(); time.sleep(0.4); print(")
    command = [sys.executable, "-c", script.format(then=""), str(tmp_path), *SLEEP]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=30, check=True)
    pid = int(done.stdout)  # `server.pid` raises where the process is gone
    eventually(lambda: gone(pid), "the process ends with its parent")


def test_stop_lets_the_process_end_by_itself(tmp_path: Path) -> None:
    """`stop` sends SIGTERM and returns when the process has cleaned up."""
    server = KafkaServer(tmp_path)
    script = "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do /bin/sleep 0.05; done"
    server.launch(["/bin/sh", "-c", script])
    while "ready" not in server.last_lines():
        assert server.running
    server.stop()
    assert not server.running
    assert server.last_lines().endswith("goodbye")


def test_frozen_process_can_be_stopped(server: KafkaServer) -> None:
    """`stop` after SIGSTOP does not wait for a process that cannot react."""
    server.send(signal.SIGSTOP)
    server.stop()
    assert not server.running


def test_kill_returns_when_the_process_is_gone(server: KafkaServer) -> None:
    """After `kill`, its port is free."""
    pid = server.pid
    server.kill()
    assert gone(pid)
    with pytest.raises(BrokerError, match="is not running"):
        _ = server.pid


def test_it_can_be_launched_again(server: KafkaServer) -> None:
    """A second launch starts another process."""
    first = server.pid
    server.kill()
    server.launch(SLEEP)
    assert server.running
    assert server.pid != first


def test_last_lines_of_the_output_are_stored(
    tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """Errors show the last 15 lines of this launch, of both outputs."""
    server = KafkaServer(tmp_path)
    assert server.last_lines() == "(it said nothing)"
    server.launch(["/bin/sh", "-c", "for i in $(seq 20); do echo line $i; done; echo end >&2"])
    eventually(lambda: not server.running, "the process ends by itself")
    lines = server.last_lines().splitlines()
    assert lines[-1] == "end"
    assert len(lines) == 15
    server.launch(["/bin/echo", "again"])
    eventually(lambda: not server.running, "the process ends by itself")
    assert server.last_lines() == "again"
