"""The part of a task's logger that the bridge uses."""

from __future__ import annotations

from typing import Protocol


class TaskLog(Protocol):
    """A task's or a trigger's logger."""

    def info(self, event: str, /, *args: object) -> object:
        """Write a line."""

    def warning(self, event: str, /, *args: object) -> object:
        """Write a warning."""

    def log(self, level: int, event: str, /, *args: object) -> object:
        """Write a line at a level, by its number in Python's logging."""

    def error(self, event: str, /, *args: object) -> object:
        """Write an error."""
