"""Detects when Airflow has parsed a folder of DAGs, and whether it failed."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kafka_bridge.testing.local_airflow.errors import DagImportFailed

if TYPE_CHECKING:
    from pathlib import Path

    from kafka_bridge.testing.local_airflow.api import AirflowApi

NO_DAG_GRACE_SECONDS = 5.0
"""A file without DAGs is never reported: this long after the last news we stop expecting it."""


def candidates(dags: Path) -> frozenset[str]:
    """Return the files, relative to ``dags``, that Airflow takes for DAG files (its safe mode)."""
    return frozenset(
        file.relative_to(dags).as_posix() for file in dags.rglob("*.py") if _mentions_a_dag(file)
    )


def _mentions_a_dag(file: Path) -> bool:
    content = file.read_bytes().lower()
    return b"airflow" in content and (b"dag" in content or b"asset" in content)


class DagFolderWatch:
    """Detects when all DAG files were parsed since ``since`` (seconds since the epoch)."""

    def __init__(self, api: AirflowApi, dags: Path, since: float) -> None:
        self._api = api
        self._missing = candidates(dags)
        self._since = since
        self._last_news: float | None = None

    def parsed(self) -> bool:
        """Whether every file is accounted for; raises :class:`DagImportFailed`."""
        self._raise_import_errors()
        seen = {
            dag["relative_fileloc"]
            for dag in self._api.get_all("dags", "dags")
            if self._is_new(dag["last_parsed_time"])
        }
        if self._missing & seen:
            self._missing -= seen
            self._last_news = time.monotonic()
        return not self._missing or self._has_been_quiet()

    def __str__(self) -> str:
        return f"DAG files not parsed yet: {', '.join(sorted(self._missing)) or 'none'}"

    def _has_been_quiet(self) -> bool:
        return (
            self._last_news is not None
            and time.monotonic() - self._last_news > NO_DAG_GRACE_SECONDS
        )

    def _is_new(self, stamp: str | None) -> bool:
        return stamp is not None and datetime.fromisoformat(stamp).timestamp() >= self._since

    def _raise_import_errors(self) -> None:
        errors = [error for error in self._api.import_errors() if self._is_new(error["timestamp"])]
        if errors:
            raise DagImportFailed(import_error_text(errors))


def import_error_text(errors: list[dict[str, Any]]) -> str:
    """Return all import errors as one text."""
    return "\n".join(f"Cannot import {e['filename']}:\n{e['stack_trace']}" for e in errors)
