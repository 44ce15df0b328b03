"""A newcomer types what the quickstart says, from its second step on, and gets a result."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kafka_bridge.testing.ports import free_port

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text("utf-8")
BLOCK = re.compile(r"```(console|python)\n(.*?)```", re.DOTALL)
SECONDS = 400
STOP_SECONDS = 60
USUAL_PORT = "9092"


def write_files(folder: Path) -> None:
    """Save each block of Python under the name in its first line."""
    for kind, text in BLOCK.findall(PAGE):
        if kind == "python":
            file = folder / text.partition("\n")[0].removeprefix("# ")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")


def typed(broker: str, port: int) -> str:
    """Return the commands in their order, with another port: another test may use the usual one."""
    steps = PAGE.partition("## 2. Kafka\n")[2]
    blocks = [text for kind, text in BLOCK.findall(steps) if kind == "console"]
    lines = [line for text in blocks for line in text.splitlines() if line.startswith("$ ")]
    commands = [line.removeprefix("$ ") for line in lines if not line.startswith("$ pip install")]
    assert sum("kafka-bridge broker" in each for each in commands) == 1
    own = f"kafka-bridge broker --kind {broker} --port {port}"
    script = "\n".join(each.replace("kafka-bridge broker", own) for each in commands)
    assert USUAL_PORT in script
    return script.replace(USUAL_PORT, str(port))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give an empty folder; what was started in it ends with the test."""
    yield tmp_path
    pids = tmp_path / "pids"
    for pid in reversed(pids.read_text().split() if pids.exists() else []):
        with contextlib.suppress(psutil.NoSuchProcess):  # the worker first, then the broker
            process = psutil.Process(int(pid))
            process.terminate()
            process.wait(STOP_SECONDS)


@pytest.mark.parametrize("broker", ["embedded", "apache"])
@pytest.mark.timeout(SECONDS + 60)
def test_commands_of_the_quickstart_run_a_job(
    broker: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    """In one terminal, in the page's order: every command succeeds, and the DAG's task does."""
    if broker == "apache":
        request.getfixturevalue("kafka_jars")
    write_files(folder)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "KAFKA_"))}
    log = folder / "output"
    with log.open("w") as output_file:  # not a pipe: what runs in the background keeps it open
        done = subprocess.run(
            ["bash", "-ec", typed(broker, free_port())],
            cwd=folder,
            env={**inherited, "PATH": programs, "BASH_ENV": str(_noting_pids(folder))},
            stdout=output_file,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    output = log.read_text("utf-8")
    assert done.returncode == 0, output
    assert "jobs.requests: created" in output
    assert "1 passed" in output
    assert re.search(r"Job [0-9a-f-]{36}: SUCCEEDED", output)
    assert "DagRun Finished" in output
    assert "state=success" in output
    assert "Ready for jobs" in (folder / "worker.log").read_text("utf-8")


def _noting_pids(folder: Path) -> Path:
    """Make the shell write the ids of its background processes to a file when it ends."""
    file = folder / "bash_env"
    file.write_text(f'trap "jobs -p > {folder}/pids" EXIT\n', encoding="utf-8")
    return file
