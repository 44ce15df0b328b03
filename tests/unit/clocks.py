"""A fixture for tests of a module that looks at the time."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from kafka_bridge.testing import FakeClock


def clock_of(*modules: ModuleType) -> Any:
    """Return the fixture `clock`: these modules read it, and it moves only by hand."""

    @pytest.fixture(name="clock")
    def moved_by_hand(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
        """Give the clock."""
        clock = FakeClock()
        for module in modules:
            monkeypatch.setattr(module, "time", clock)
        return clock

    return moved_by_hand
