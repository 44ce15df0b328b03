"""A process that runs triggers as Airflow's triggerer does: its reader stays open."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from kafka_bridge.airflow import KafkaJobBatchTrigger

GIVE_UP_SECONDS = 120.0

RunTrigger: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""A function from the arguments of a batch trigger to the payload of its event."""


@contextlib.contextmanager
def trigger_process() -> Iterator[RunTrigger]:
    """Give a function that runs triggers in another process, one after the other."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()

    def run(arguments: dict[str, Any]) -> dict[str, Any]:
        ours.send(arguments)
        if not ours.poll(GIVE_UP_SECONDS):
            raise RuntimeError("the trigger did not fire")
        event: dict[str, Any] = ours.recv()
        return event

    try:
        yield run
    finally:
        process.kill()
        process.join()


def _serve(asked: Connection) -> None:
    asyncio.run(_run_triggers(asked))


async def _run_triggers(asked: Connection) -> None:
    while True:
        arguments = await asyncio.to_thread(asked.recv)
        event = await anext(KafkaJobBatchTrigger(**arguments).run())
        asked.send(event.payload)
