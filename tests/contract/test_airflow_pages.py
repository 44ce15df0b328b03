"""The how-to pages for authors of DAGs: what stands there runs, and what they point to is there."""

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
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_example(code: str) -> None:
    """Pasted into an empty DAG, the code makes tasks: it names all that it imports."""
    with DAG("page", schedule=None) as dag:
        exec(compile(textwrap.dedent(code), "page", "exec"), {"__name__": "page"})  # noqa: S102
    assert dag.tasks


def test_examples_are_found() -> None:
    """The pages with code are seen by this test."""
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Every file that a page points to is there."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [each for each in targets if "://" not in each and not (HOW_TO / each).exists()]
    assert missing == []


def test_every_option_is_explained() -> None:
    """The page on the configuration names each option of the section."""
    page = (HOW_TO / "configure-airflow.md").read_text(encoding="utf-8")
    assert [name for name in OPTIONS if f"`{name}`" not in page] == []
