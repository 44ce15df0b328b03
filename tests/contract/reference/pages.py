"""Which tables are on which page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .errors import errors
from .metrics import metrics
from .settings import settings
from .signatures import operators, tests, triggers, worker
from .tables import REFERENCE, Tables

PAGES: dict[Path, Callable[[], Tables]] = {
    REFERENCE / "operators.md": operators,
    REFERENCE / "triggers.md": triggers,
    REFERENCE / "worker.md": worker,
    REFERENCE / "testing.md": tests,
    REFERENCE / "settings.md": settings,
    REFERENCE / "errors.md": errors,
    REFERENCE / "metrics.md": metrics,
}
