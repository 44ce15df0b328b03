"""The code of the quickstart and of the README: a worker, its test, and the DAG for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kafka_bridge.airflow import KafkaJobOperator
from kafka_bridge.testing import run_job
from kafka_bridge.worker import Worker

from .dag_files import blocks, load

ROOT = Path(__file__).parents[2]
QUICKSTART = blocks(ROOT / "docs" / "quickstart.md")
README = blocks(ROOT / "README.md")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty folder from which modules are imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("my_service", "test_my_service"):
        sys.modules.pop(name, None)


def worker_of(code: str, folder: Path) -> Worker:
    """Return the worker of a page, imported from the file that its first line names."""
    assert code.startswith("# my_service.py\n")
    (folder / "my_service.py").write_text(code, encoding="utf-8")
    worker: Worker = importlib.import_module("my_service").worker
    return worker


def test_worker_of_the_quickstart_passes_its_test(folder: Path) -> None:
    """A reader who saves both as files gets a test that passes."""
    service, test, _ = QUICKSTART
    worker_of(service, folder)
    assert test.startswith("# test_my_service.py\n")
    (folder / "test_my_service.py").write_text(test, encoding="utf-8")
    importlib.import_module("test_my_service").test_thumbnails_are_made()


def test_worker_of_the_readme_runs_a_job(folder: Path) -> None:
    """Its file is complete."""
    outcome = run_job(worker_of(README[0], folder), "images.thumbnail", {"images": ["a", "b"]})
    assert outcome.result == {"made": 2}


@pytest.mark.parametrize("page", [QUICKSTART, README], ids=["quickstart", "readme"])
def test_dag_of_the_page_publishes_a_job_for_its_worker(page: list[str], folder: Path) -> None:
    """Its job type is the worker's."""
    (dag,) = load(page[-1], folder).values()
    (task,) = dag.tasks
    assert isinstance(task, KafkaJobOperator)
    assert [task.job_type] == list(worker_of(page[0], folder).handlers)
