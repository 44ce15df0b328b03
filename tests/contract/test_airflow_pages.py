"""The code of the pages for authors of DAGs is complete."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from .dag_files import blocks, load

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
FOR_WORKERS = {
    "write-a-worker.md",
    "operate-a-worker.md",
    "coming-from-celery.md",
    "coming-from-temporal.md",
}
PAGES = [path for path in sorted(HOW_TO.glob("*.md")) if path.name not in FOR_WORKERS]
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in [ROOT / "README.md", ROOT / "docs" / "quickstart.md", *PAGES]
    for number, code in enumerate(blocks(page))
    if "kafka_bridge.airflow" in code or "airflow.sdk" in code
]
ANY_RUN = {
    "dag_run": SimpleNamespace(run_after=datetime(2026, 11, 23, tzinfo=UTC)),
    "params": {"width": 128},
}
"""What the templates of the pages may use: a run without a logical date has no more dates."""


@pytest.mark.parametrize("code", EXAMPLES)
def test_every_example_is_a_dag_file_whose_templates_any_run_can_render(
    code: str, tmp_path: Path
) -> None:
    """A reader can save the block as a file of the DAG folder, and trigger the DAG by hand."""
    (dag,) = load(code, tmp_path).values()
    assert dag.tasks
    for task in dag.tasks:
        if not task.upstream_task_ids:  # the others need a result
            task.render_template_fields(ANY_RUN)


def test_pages_contain_the_examples_that_are_checked() -> None:
    """Several pages have code, and no block of theirs is left out."""
    assert len(EXAMPLES) >= 11
    assert len([code for page in PAGES for code in blocks(page)]) == len(EXAMPLES) - 2
