"""What a worker remembers of the control topic."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.kafka import control
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.control import ControlReader
from kafka_bridge.kafka.follower import TopicFollower
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import Command, JobCommand, utc_now

JOBS = [new_correlation_id() for _ in range(5)]


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> ControlReader:
    """Give a reader that remembers three cancels, and reads no topic."""
    monkeypatch.setattr(control, "MOST_REASONS", 3)
    monkeypatch.setattr(TopicFollower, "__init__", lambda *_, **__: None)
    config = KafkaConfig({"bootstrap.servers": "nobody"})
    return ControlReader(config, "control", lambda _: None, timeout=1)


def cancel(reader: ControlReader, job: str, reason: str | None) -> None:
    """Have the reader come to a CANCEL."""
    command = JobCommand(
        correlation_id=job, command=Command.CANCEL, issued_at=utc_now(), reason=reason
    )
    record: Any = SimpleNamespace(value=b"-", decode=lambda _: command)
    reader._process(record)


def test_last_cancels_are_remembered(three: ControlReader) -> None:
    """A worker that runs for a year does not grow by all cancels of that year."""
    for job in JOBS:
        cancel(three, job, f"why {job}")
    assert three.reasons == {job: f"why {job}" for job in JOBS[2:]}


def test_repeated_cancel_counts_as_the_newest(three: ControlReader) -> None:
    """Whoever still asks for it still means it; the last reason holds."""
    a, b, c, d, _ = JOBS
    for job, reason in ((a, "once"), (b, "x"), (c, None), (a, "twice"), (d, "y")):
        cancel(three, job, reason)
    assert three.reasons == {c: "no reason was given", a: "twice", d: "y"}
