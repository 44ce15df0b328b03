"""A trigger that needs only memory: the fastest that Airflow's own triggerer can be.

One watcher in a process looks for a file. When the file exists, all triggers that wait for it fire.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

LOOK_SECONDS = 0.01

_appeared: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[None]] = {}
"""The watchers, by event loop and file."""


class MemoryTrigger(BaseTrigger):
    """Fires one event, as small as ours, when a file exists.

    :param flag: path of the file
    """

    def __init__(self, *, flag: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flag = flag

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        return f"{MemoryTrigger.__module__}.{MemoryTrigger.__qualname__}", {"flag": self.flag}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event when the file exists."""
        await asyncio.shield(_watcher(self.flag))
        yield TriggerEvent({"state": "SUCCEEDED", "partition": 0, "offset": 1000})


def _watcher(flag: str) -> asyncio.Task[None]:
    key = asyncio.get_running_loop(), flag
    if key not in _appeared:
        _appeared[key] = asyncio.create_task(_until_there(flag))
    return _appeared[key]


async def _until_there(flag: str) -> None:
    while not os.access(flag, os.F_OK):  # noqa: ASYNC110  another process creates it
        await asyncio.sleep(LOOK_SECONDS)
