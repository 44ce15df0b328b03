"""The code on the how-to pages for authors of DAGs runs, and every option is explained."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from airflow.sdk import DAG

from kafka_bridge.airflow.settings import OPTIONS

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
FOR_WORKERS = {"write-a-worker.md", "operate-a-worker.md"}
PAGES = sorted(path for path in HOW_TO.glob("*.md") if path.name not in FOR_WORKERS)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_every_example_makes_tasks(code: str) -> None:
    """In an empty DAG, the code makes tasks: it imports all that it uses."""
    with DAG("page", schedule=None) as dag:
        exec(compile(textwrap.dedent(code), "page", "exec"), {"__name__": "page"})  # noqa: S102
    assert dag.tasks


def test_pages_contain_the_examples_that_are_checked() -> None:
    """Several pages have code."""
    assert len(EXAMPLES) >= 8


def test_every_option_is_explained() -> None:
    """The page on the configuration names each option of the section."""
    page = (HOW_TO / "configure-airflow.md").read_text(encoding="utf-8")
    assert [name for name in OPTIONS if f"`{name}`" not in page] == []
