"""The pages for those who know another system: what they show of this one runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .dag_files import blocks, load

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
CELERY, TEMPORAL = (HOW_TO / f"coming-from-{name}.md" for name in ("celery", "temporal"))
RUN = """
from kafka_bridge.testing import run_job
from my_service import worker

if __name__ == "__main__":
    outcome = run_job(worker, "images.thumbnail", {"images": ["a.png", "b.png"]})
    assert outcome.result == {"made": 2}, outcome
"""


def block_of(page: Path, file: str) -> str:
    """Return the block of a page that is this file."""
    (found,) = [code for code in blocks(page) if code.startswith(f"# {file}")]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", [CELERY, TEMPORAL], ids=lambda page: page.stem)
def test_service_of_the_page_runs_a_job(page: Path, tmp_path: Path) -> None:
    """As a program of its own: a handler may run in a process, which imports the module."""
    (tmp_path / "my_service.py").write_text(block_of(page, "my_service.py"), encoding="utf-8")
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_dag_of_the_page_is_a_dag_file(tmp_path: Path) -> None:
    """A reader can save it in the DAG folder."""
    (dag,) = load(block_of(TEMPORAL, "thumbnails_dag.py"), tmp_path).values()
    assert dag.task_ids == ["thumbnail"]
