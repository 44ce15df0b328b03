"""Runs a trigger on a scripted reader, with a clock that moves only when the trigger waits."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import pytest
from airflow.triggers.base import TriggerEvent

from kafka_bridge.airflow import resume_delay, triggers
from kafka_bridge.airflow.triggerer import job_log, job_wait, log_budget
from kafka_bridge.airflow.triggerer.log_budget import LogBudget
from kafka_bridge.airflow.triggerer.waiter import JobNotice, Waiter
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.kafka.response_records import HeadReader
from kafka_bridge.kafka.responses.subscriptions import Arrival, Notice
from kafka_bridge.protocol.errors import RecordLocation, Undecodable
from kafka_bridge.protocol.messages import JobState, Progress
from kafka_bridge.testing import FakeClock

from .samples import JOB, T0, TOPIC, arrival, event

ARGUMENTS: dict[str, Any] = {
    "correlation_id": JOB,
    "kafka_config_id": "mine",
    "response_topic": TOPIC,
    "start_offsets": [4, 5, 6],
    "submitted_at": T0,
    "schedule_to_start_timeout": 100.0,
    "heartbeat_timeout": 90.0,
    "start_to_close_timeout": 1000.0,
    "schedule_to_close_timeout": None,
    "progress_timeout": None,
    "progress_log_interval": 5.0,
    "not_before": T0 + 8,
    "resume_delay": 8.0,
    "job_type": "files.audit",
    "control_topic": "jobs.control",
    "encoding": "json",
    "cancel_on_kill": True,
    "end_from_trigger": False,
    "reply": "events",
    "logged_offsets": [],
    "request_topic": "",
    "request_partition": 3,
    "request_offset": 17,
    "first_submitted_at": T0 - 60,
}
UNREADABLE = Undecodable("neither Avro nor JSON", RecordLocation(TOPIC, 2, 16))
DONE = {"state": "SUCCEEDED", "partition": 2, "offset": 17}


@dataclass
class Reader:
    """Stands in for the process's reader: gives the notices of a script, each after a pause.

    None is a waking without news. At the script's end time goes by until the deadline.
    """

    clock: FakeClock
    script: deque[tuple[float, Notice | None]]
    live_since: float = 0.0
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    open: bool = False
    read_head: HeadReader | None = None

    async def join_hub(self, waiter: Waiter, kafka_config_id: str, topic: str) -> Reader:
        """Take the place of the waiter, until the block ends."""
        (job,) = waiter._subscriptions
        self.asked.append((job.key.decode(), kafka_config_id, topic, list(job.positions)))
        self.read_head = job.read_head
        return self

    def __enter__(self) -> Self:
        self.open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.open = False

    async def next(self, deadline: float | None) -> JobNotice | None:
        """Return the next notice, or None at the deadline."""
        if self.script:
            pause, notice = self.script.popleft()
            self.clock.now += pause
            return None if notice is None else (JOB, notice)
        assert deadline is not None, "nothing would ever end this wait"
        self.clock.now = max(self.clock.now, deadline)
        return None


class Log:
    """Keeps the lines that a trigger logs, and at which level."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, words: str, *arguments: object) -> None:
        """Keep a line."""
        self.lines.append(("info", words % arguments))

    def warning(self, words: str, *arguments: object) -> None:
        """Keep a warning."""
        self.lines.append(("warning", words % arguments))

    def log(self, level: int, words: str, *arguments: object) -> None:
        """Keep a line at any level."""
        self.lines.append((logging.getLevelName(level).lower(), words % arguments))

    def error(self, words: str, *arguments: object) -> None:
        """Keep an error."""
        self.lines.append(("error", words % arguments))


@dataclass
class Wait:
    """What came of a wait: the events, the log, and who was asked for what."""

    fired: list[TriggerEvent]
    log: list[tuple[str, str]]
    reader: Reader
    clock: FakeClock
    trigger: KafkaJobTrigger

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the events say."""
        return [each.payload for each in self.fired]


class Runner:
    """Runs triggers on the stand-ins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    async def __call__(
        self,
        *script: Notice | tuple[float, Notice | None],
        live_since: float = 0.0,
        budget: Callable[[], LogBudget] = LogBudget,
        **changes: Any,
    ) -> Wait:
        """Run one trigger to its end; a notice without a pause comes at once."""
        clock, log = FakeClock(T0), Log()
        steps = deque(step if isinstance(step, tuple) else (0.0, step) for step in script)
        reader = Reader(clock, steps, live_since)
        self._patch.setattr(triggers, "time", clock)
        self._patch.setattr(resume_delay, "time", clock)
        self._patch.setattr(resume_delay, "asyncio", SimpleNamespace(sleep=clock.async_sleep))
        self._patch.setattr(job_wait, "time", clock)
        self._patch.setattr(job_log, "time", clock)
        self._patch.setattr(log_budget, "time", clock)
        self._patch.setattr(job_wait, "PROCESS_BUDGET", budget())
        self._patch.setattr(job_wait, "join_hub", reader.join_hub)
        self._patch.setattr(KafkaJobTrigger, "log", log)
        trigger = KafkaJobTrigger(**{**ARGUMENTS, **changes})
        async with asyncio.timeout(30):
            fired = [each async for each in trigger.run()]
        assert not reader.open
        return Wait(fired, log.lines, reader, clock, trigger)


def running(completed: int, **fields: Any) -> Arrival:
    """Return a progress event."""
    return arrival(event(JobState.RUNNING, progress=Progress(completed, 10), **fields))
