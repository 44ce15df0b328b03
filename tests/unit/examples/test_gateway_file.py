"""The example's file, with the job that needs no service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kafka_bridge.gateway.command.progress import JSON_LINES
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.gateway.yaml_file import load
from kafka_bridge.protocol.messages import Progress
from kafka_bridge.testing import run_job

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Give a folder of three files."""
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("line\n")
    return tmp_path


@pytest.mark.slow
def test_example_program_prints_its_report_or_its_error(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last line is the result, and its error is the job's."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("CALLBACK_SECRET", "a secret that is long enough")
    python = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{python}{os.pathsep}{os.environ['PATH']}")
    worker = Gateway(load(PROJECT / "examples" / "gateway.yaml")).worker

    done = run_job(worker, "audit.by-command", {"directory": str(files)})
    assert done.state == "SUCCEEDED"
    assert done.result["files"] == 3

    failed = run_job(worker, "audit.by-command", {"directory": "/no/such/directory"})
    assert failed.error is not None
    assert "/no/such/directory is not a directory on this machine" in failed.error.message


@pytest.mark.slow
def test_lines_of_the_example_program_are_progress(files: Path) -> None:
    """One for each file, in the form that the gateway understands without being told."""
    program = PROJECT / "examples" / "audit_command.py"
    done = subprocess.run(
        [sys.executable, str(program), str(files)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *lines, _ = done.stdout.splitlines()
    told = [JSON_LINES.read(line) for line in lines]
    assert [each.progress for each in told] == [Progress(n, 3, "files") for n in (1, 2, 3)]
    assert [each.message for each in told] == [f"hashing {n}.txt" for n in (0, 1, 2)]
