"""What the handlers of the worker write down: which of them were called, and which returned."""

from __future__ import annotations

from pathlib import Path

STARTED = "started"
ENDED = "ended"


class Notes:
    """A file with lines of a word and a correlation id.

    :param path: None if the worker writes no notes that the kit could read
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @property
    def are_kept(self) -> bool:
        """Whether the worker writes notes."""
        return self._path is not None

    def count(self, word: str, correlation_id: str) -> int:
        """Return how often a worker has noted this of a job; 0 without notes."""
        if self._path is None or not self._path.exists():
            return 0
        line = f"{word} {correlation_id}"
        return self._path.read_text(encoding="utf-8", errors="replace").splitlines().count(line)
