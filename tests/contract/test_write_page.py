"""The page about writing a worker: its code is run, and its tables say what the code says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kafka_bridge.worker import StopReason

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "write-a-worker.md").read_text("utf-8")
MODULE = "my_service.py"
RUN_SECONDS = 120


def files() -> dict[str, str]:
    """Return the page's code by file: what names none belongs to the service's module."""
    found: dict[str, str] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        named = re.match(r"# (\w+\.py)\n", block)
        name = named[1] if named else MODULE
        found[name] = f"{found.get(name, '')}\n\n{block}"
    return found


@pytest.mark.slow
def test_the_code_of_the_page_runs_and_its_tests_pass(tmp_path: Path) -> None:
    """All of it together, as a reader has it: the module, its tests, the worker as a program."""
    for name, code in files().items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    tests = sum(len(re.findall(r"^def test_", code, re.MULTILINE)) for code in files().values())
    assert tests > 0
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PATH": programs},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert f"{tests} passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_the_table_lists_every_reason_to_stop() -> None:
    """The table has what a handler may see."""
    section = PAGE.partition("## Stop requests\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    assert listed == [reason.value for reason in StopReason]
