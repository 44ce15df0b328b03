"""The errors of a local Airflow's Postgres if it cannot run."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from kafka_bridge.testing.local_airflow import PostgresMissing
from kafka_bridge.testing.local_airflow import postgres as start_postgres
from kafka_bridge.testing.local_airflow.postgres_server import DEBIAN


def why() -> str:
    """Return why Postgres cannot run."""
    with pytest.raises(PostgresMissing) as missing, start_postgres():
        pass
    return str(missing.value)


@pytest.fixture
def nothing_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide all programs."""
    monkeypatch.setattr(shutil, "which", lambda _: None)


def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's API server needs a separate driver; the error names it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != "asyncpg" or None)
    assert why() == "the Python package asyncpg is not installed"


def test_missing_programs_are_named_with_the_searched_places(
    monkeypatch: pytest.MonkeyPatch, nothing_on_the_path: None
) -> None:
    """The error has the searched directories."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    assert why() == f"there is no initdb, neither on the PATH nor in {DEBIAN}"


def test_root_without_setpriv_is_refused(
    monkeypatch: pytest.MonkeyPatch, nothing_on_the_path: None
) -> None:
    """Postgres does not run as root, so a program must change the user."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert why() == "Postgres does not run as root, and setpriv is not installed"
