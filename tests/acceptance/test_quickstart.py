"""A newcomer types what the README and the quickstart say, and gets a result."""

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

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quickstart.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"```(console|python)\n(.*?)```", re.DOTALL)
SECONDS = 400
INSTALL_SECONDS = 600
STOP_SECONDS = 60
USUAL_PORT = "9092"


def write_files(folder: Path) -> None:
    """Save each block of Python under the name in its first line."""
    for kind, text in BLOCK.findall(PAGE):
        if kind == "python":
            file = folder / text.partition("\n")[0].removeprefix("# ")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")


def commands(text: str) -> list[str]:
    """Return the commands of a page, in their order."""
    blocks = [block for kind, block in BLOCK.findall(text) if kind == "console"]
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line.removeprefix("$ ") for line in lines]


def typed(broker: str, port: int) -> str:
    """Return the commands from the second step on, with another port: the usual one may be taken.

    pip finds that pytest is installed already, if it is.
    """
    steps = commands(PAGE.partition("## 2. Kafka\n")[2])
    assert sum("kafka-bridge broker" in each for each in steps) == 1
    own = f"kafka-bridge broker --kind {broker} --port {port}"
    script = "\n".join(each.replace("kafka-bridge broker", own) for each in steps)
    assert USUAL_PORT in script
    return script.replace(USUAL_PORT, str(port))


def run(script: str, folder: Path, programs: Path, seconds: float) -> str:
    """Run commands as in one terminal, and return what they printed. Every command must succeed.

    :param programs: the folder of ``python``, ``pip`` and ``kafka-bridge``
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "KAFKA_"))}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    log = folder / "output"
    with log.open("w") as output_file:  # not a pipe: what runs in the background keeps it open
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=folder,
            env={**inherited, "PATH": path, "BASH_ENV": str(_noting_pids(folder))},
            stdout=output_file,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    output = log.read_text("utf-8")
    assert done.returncode == 0, output
    return output


def run_a_job(broker: str, folder: Path, programs: Path) -> None:
    """Type the steps of the quickstart: the DAG's task succeeds."""
    write_files(folder)
    output = run(typed(broker, free_port()), folder, programs, SECONDS)
    assert "jobs.requests: created" in output
    assert "1 passed" in output
    assert re.search(r"Job [0-9a-f-]{36}: SUCCEEDED", output)
    assert "DagRun Finished" in output
    assert "state=success" in output
    assert "Ready for jobs" in (folder / "worker.log").read_text("utf-8")


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


@pytest.mark.parametrize("broker", ["embedded", pytest.param("apache", marks=pytest.mark.long)])
@pytest.mark.timeout(SECONDS + 60)
def test_commands_of_the_quickstart_run_a_job(
    broker: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    """In one terminal, in the page's order: every command succeeds, and the DAG's task does."""
    if broker == "apache":
        request.getfixturevalue("kafka_jars")
    run_a_job(broker, folder, Path(sys.executable).parent)


@pytest.mark.long
@pytest.mark.timeout(INSTALL_SECONDS + SECONDS + 60)
def test_wheel_in_an_empty_environment_runs_a_job(folder: Path) -> None:
    """The README's commands build a wheel and install it with its extras; then the quickstart."""
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    build, install = [each for each in commands(README) if "dist" in each.split("#")[0]]
    wheels = str(folder / "dist")
    assert build.endswith("--wheel-dir dist .")
    here = [f"{build.removesuffix('dist .')}{wheels} {ROOT}", install.replace("$PWD/dist", wheels)]
    run("\n".join(here), folder, environment / "bin", INSTALL_SECONDS)
    run_a_job("embedded", folder, environment / "bin")


def _noting_pids(folder: Path) -> Path:
    """Make the shell write the ids of its background processes to a file when it ends."""
    file = folder / "bash_env"
    file.write_text(f'trap "jobs -p > {folder}/pids" EXIT\n', encoding="utf-8")
    return file
