"""Runs what blocks for long in a program that has an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from kafka_bridge.worker.runtime.job_thread import uninterrupted


async def run_on_thread(function: Callable[[], None], stop: Callable[[], None]) -> None:
    """Run a function on a thread of its own to its end.

    :param stop: makes the function return soon; called if this task is cancelled
    """
    ended: Future[None] = Future()

    def run() -> None:
        try:
            function()
            ended.set_result(None)
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=run, name="kafka-bridge-worker", daemon=True).start()
    waiting = asyncio.wrap_future(ended)
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        stop()
        await uninterrupted(waiting)
        raise
