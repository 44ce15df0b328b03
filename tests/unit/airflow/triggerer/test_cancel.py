"""Cancelling the job of a deferred task that a person has ended."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from kafka_bridge.airflow.triggerer import cancel
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.errors import (
    ConfigurationError,
    RecordLocation,
)
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import (
    Command,
    JobCommand,
    JobState,
)

from ..samples import JOB, arrival, event
from ..trigger_runs import ARGUMENTS, Runner


class Airflow:
    """Stands in for Airflow's count of the task's instances that are deferred."""

    def __init__(self, deferred: int) -> None:
        self.deferred = deferred
        self.asked: list[dict[str, Any]] = []

    def get_ti_count(self, **asked: Any) -> int:
        """Count."""
        self.asked.append(asked)
        return self.deferred


class Commands:
    """Stands in for a producer, and keeps what is sent with it."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.sent: list[JobCommand] = []
        self.topics: set[str] = set()

    def open(self, _config: KafkaConfig, _timeout: float) -> Commands:
        """Be made."""
        self.opened += 1
        return self

    def connect(self, topic: str) -> None:
        """Get ready."""
        assert topic == ARGUMENTS["control_topic"]

    def send(
        self, topic: str, key: bytes, value: bytes, _headers: Headers
    ) -> Future[RecordLocation]:
        """Take a command."""
        command = decode(JobCommand, value)
        assert value[:1] == b"{", "in the encoding that the task asks for"
        assert key == command.correlation_id.encode()
        self.sent.append(command)
        self.topics.add(topic)
        done: Future[RecordLocation] = Future()
        done.set_result(RecordLocation(topic, 0, 3))
        return done

    def close(self) -> None:
        """Be closed."""
        self.closed += 1


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Put a stand-in in the producer's place."""
    stand_in = Commands()
    monkeypatch.setattr(cancel, "RecordProducer", stand_in.open)
    monkeypatch.setattr(cancel, "kafka_config", lambda _: None)
    return stand_in


def killable(monkeypatch: pytest.MonkeyPatch, deferred: int, **changes: Any) -> KafkaJobTrigger:
    """Return a trigger of a mapped task, of which so many instances are deferred."""
    airflow = Airflow(deferred)
    monkeypatch.setattr(RuntimeTaskInstance, "get_ti_count", airflow.get_ti_count)
    trigger = KafkaJobTrigger(**{**ARGUMENTS, **changes})
    trigger.task_instance = SimpleNamespace(  # type: ignore[assignment]
        dag_id="nightly", run_id="r-1", task_id="work", map_index=3
    )
    trigger.airflow = airflow  # type: ignore[attr-defined]
    return trigger


async def test_marked_or_cleared_task_cancels_its_job(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a task is no longer deferred."""
    trigger = killable(monkeypatch, deferred=0)
    await trigger.on_kill()
    (command,) = commands.sent
    assert (command.correlation_id, command.command) == (JOB, Command.CANCEL)
    assert command.reason == "the task was marked, cleared or removed"
    assert commands.topics == {"jobs.control"}
    assert trigger.airflow.asked == [  # type: ignore[attr-defined]
        {
            "dag_id": "nightly",
            "run_ids": ["r-1"],
            "task_ids": ["work"],
            "map_index": 3,
            "states": ["deferred"],
        }
    ]


async def test_takeover_by_another_triggerer_cancels_nothing(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is still deferred then."""
    await killable(monkeypatch, deferred=1).on_kill()
    assert commands.sent == []


async def test_without_cancel_on_kill_nothing_is_asked_or_cancelled(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow is not even asked for the state of the task."""
    trigger = killable(monkeypatch, deferred=0, cancel_on_kill=False)
    await trigger.on_kill()
    assert commands.sent == []
    assert trigger.airflow.asked == []  # type: ignore[attr-defined]


async def test_many_cancels_at_once_share_one_producer(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is closed after the last of them; later ones open another."""
    trigger = killable(monkeypatch, deferred=0)
    for rounds in (1, 2):
        await asyncio.gather(*(trigger.on_kill() for _ in range(100)))
        assert len(commands.sent) == 100 * rounds
        assert (commands.opened, commands.closed) == (rounds, rounds)


async def test_unusable_connection_is_raised_for_airflow_to_log(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next cancel tries again."""

    def refuse(_: str) -> None:
        raise ConfigurationError("no such connection")

    monkeypatch.setattr(cancel, "kafka_config", refuse)
    trigger = killable(monkeypatch, deferred=0)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no such connection"):
            await trigger.on_kill()


async def test_cancel_goes_on_after_airflow_has_cancelled_on_kill(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow does that after about a second."""
    trigger = killable(monkeypatch, deferred=0)
    killing = asyncio.create_task(trigger.on_kill())
    await asyncio.sleep(0)
    killing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killing
    assert commands.sent == []
    async with asyncio.timeout(30):
        while not commands.closed:  # noqa: ASYNC110  a thread closes it
            await asyncio.sleep(0.01)
    assert len(commands.sent) == 1


async def test_trigger_that_has_fired_cancels_nothing(
    run: Runner, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow calls on_kill for such triggers, too."""
    wait = await run(arrival(event(JobState.SUCCEEDED)))
    await wait.trigger.on_kill()
    assert commands.sent == []
