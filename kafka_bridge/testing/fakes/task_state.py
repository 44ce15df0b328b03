"""Airflow's task state store, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeTaskState:
    """What one task instance has stored; one object serves all attempts of the task.

    :param values: what is stored, by key
    :param retentions: for how long each value is kept, by key
    :param journal: gets ``"stored"`` for each write; share the list to see the order among fakes
    """

    values: dict[str, Any] = field(default_factory=dict)
    retentions: dict[str, Any] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value stored under a key."""
        return self.values.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Store a value under a key."""
        self.journal.append("stored")
        self.values[key] = value
        self.retentions[key] = retention
