"""The code of the quickstart runs: its worker, the test of the worker, and its DAG."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from kafka_bridge.airflow import KafkaJobOperator

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def blocks() -> list[str]:
    """Return the page's blocks of Python."""
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a block, and return its names."""
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102
    return names


def test_worker_of_the_quickstart_passes_its_test(blocks: list[str]) -> None:
    """A reader who copies both gets a test that passes."""
    names = run(blocks[1], run(blocks[0], {"__name__": "my_service"}))
    names["test_thumbnails_are_made"]()


def test_dag_of_the_quickstart_publishes_a_job_for_its_worker(
    blocks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DAG file is complete, and its job type is the worker's."""
    made: list[DAG] = []

    def make(*arguments: Any, **options: Any) -> DAG:
        made.append(DAG(*arguments, **options))
        return made[-1]

    monkeypatch.setattr("airflow.sdk.DAG", make)
    run(blocks[2], {"__name__": "thumbnails"})
    (task,) = made[0].tasks
    assert isinstance(task, KafkaJobOperator)
    assert [task.job_type] == list(run(blocks[0], {"__name__": "my_service"})["worker"].handlers)
