"""What all jobs of a process share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all jobs of a process share.

    :param loop: on a thread of its own; runs all coroutines
    :param state: what the worker's lifespan gives
    """

    loop: asyncio.AbstractEventLoop
    state: Any = None
