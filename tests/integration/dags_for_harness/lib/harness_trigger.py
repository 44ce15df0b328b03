"""A trigger that waits for a file."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)


class FileTrigger(BaseTrigger):
    """Fires when ``path`` exists."""

    def __init__(self, path: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its argument."""
        return "harness_trigger.FileTrigger", {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look for the file ten times a second."""
        log.info("Waiting for %s", self.path)
        connection = await BaseHook.aget_connection("harness_service")
        while (text := _text_of(self.path)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        yield TriggerEvent({"text": text, "host": connection.host})  # type: ignore[no-untyped-call, unused-ignore]


def _text_of(path: str) -> str | None:
    file = Path(path)
    return file.read_text() if file.exists() else None
