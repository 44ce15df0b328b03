"""Blocks of a page that are DAG files, loaded by Airflow as it loads a file of a DAG folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """Return the page's blocks of Python."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def load(code: str, folder: Path) -> dict[str, Any]:
    """Return the DAGs of a file with this code, by their ids.

    Airflow skips a file in silence if its text names neither Airflow nor a DAG.
    """
    file = folder / "a_dag.py"
    file.write_text(code, encoding="utf-8")
    bag = DagBag(dag_folder=str(file), safe_mode=True)
    assert bag.import_errors == {}
    return dict(bag.dags)
