"""What all jobs of a process share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.middleware import Middleware


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all jobs of a process share.

    :param loop: on a thread of its own; runs all coroutines
    :param state: what the worker's lifespan gives
    :param middlewares: around each job, the outermost first
    """

    loop: asyncio.AbstractEventLoop
    state: Any = None
    middlewares: tuple[Middleware, ...] = ()

    def needs_thread(self, handler: Handler) -> bool:
        """Tell whether a job has a thread: not everything around its call is async."""
        return not handler.is_async or any(not each.is_async for each in self.middlewares)
