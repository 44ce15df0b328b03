"""A process that runs triggers as a triggerer does, to be killed and started again.

``python trigger_process.py TRIGGERS EVENTS``: a JSON list of trigger arguments, and the file to
which each event is appended once it has fired. A trigger whose event stands there is not run again,
as Airflow deletes a trigger with its event.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from kafka_bridge.airflow import KafkaJobTrigger


async def run(triggers: list[dict[str, Any]], events: TextIO) -> None:
    """Run these triggers until all of them have fired."""

    async def one(arguments: dict[str, Any]) -> None:
        async for event in KafkaJobTrigger(**arguments).run():
            job = arguments["correlation_id"]
            events.write(json.dumps({"job": job, "event": event.payload}) + "\n")
            events.flush()
            os.fsync(events.fileno())

    await asyncio.gather(*(one(each) for each in triggers))


def main(triggers: Path, events: Path) -> None:
    """Run the triggers that have not fired yet."""
    fired = {json.loads(line)["job"] for line in events.read_text().splitlines()}
    waiting = [
        each for each in json.loads(triggers.read_text()) if each["correlation_id"] not in fired
    ]
    with events.open("a") as file:
        asyncio.run(run(waiting, file))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
