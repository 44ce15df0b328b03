"""What differs between the versions of Airflow. `make test-airflow` runs the rest on each."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from asgiref.sync import async_to_sync

from kafka_bridge.airflow import compat
from kafka_bridge.airflow.compat import KillableTrigger


class Waiting(KillableTrigger):
    """A trigger that waits for ever, and counts how often it is killed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.begun = asyncio.Event()
        self.killed = 0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Tell nothing."""
        return "", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        self.begun.set()
        await asyncio.Event().wait()
        yield TriggerEvent(None)

    async def on_kill(self) -> None:
        """Be killed."""
        self.killed += 1


class TriggerRunner:
    """Runs one trigger as the triggerers of Airflow 3.1 and 3.2 do: they call only ``cleanup``.

    :param cancels: whether the trigger is cancelled while the triggerer goes on
    """

    def __init__(self, trigger: Waiting, *, cancels: bool) -> None:
        self._trigger = trigger
        self._cancels = cancels

    async def arun(self) -> None:
        """Run the main loop; the name is that of Airflow's."""
        task = asyncio.create_task(self._run_trigger())
        await self._trigger.begun.wait()
        if self._cancels:
            task.cancel()
            await asyncio.wait([task])

    async def _run_trigger(self) -> None:
        try:
            async for _ in self._trigger.run():
                pass
        finally:
            await self._trigger.cleanup()


@pytest.mark.parametrize(
    ("calls_on_kill", "cancels", "killed"),
    [
        pytest.param(False, True, 1, id="cancelled, before 3.3"),
        pytest.param(False, False, 0, id="triggerer stops, before 3.3"),
        pytest.param(True, True, 0, id="cancelled, since 3.3: Airflow calls on_kill itself"),
    ],
)
def test_trigger_is_killed_when_its_task_ends_and_not_when_the_triggerer_stops(
    monkeypatch: pytest.MonkeyPatch, calls_on_kill: bool, cancels: bool, killed: int
) -> None:
    """When a triggerer stops, another one goes on with its triggers: nothing must be cancelled."""
    monkeypatch.setattr(compat, "CALLS_ON_KILL", calls_on_kill)
    trigger = Waiting()
    asyncio.run(TriggerRunner(trigger, cancels=cancels).arun())
    assert trigger.killed == killed


def test_function_in_a_thread_returns_its_value_and_raises_its_error() -> None:
    """It runs on another thread than the event loop."""

    def where(error: Exception | None = None) -> int:
        if error is not None:
            raise error
        return threading.get_ident()

    async def check() -> None:
        assert await compat.in_thread(where) != threading.get_ident()
        with pytest.raises(ValueError, match="no"):
            await compat.in_thread(where, error=ValueError("no"))

    asyncio.run(check())


def test_request_in_a_thread_runs_on_the_event_loop_and_outlives_its_cancelled_caller() -> None:
    """Otherwise the triggerer of Airflow 3.1 takes its answer for that of the next request."""
    begun, may_answer, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def request() -> None:
        loops.append(asyncio.get_running_loop())
        begun.set()
        await may_answer.wait()
        answered.set()

    async def check() -> None:
        caller = asyncio.create_task(compat.in_thread(async_to_sync(request)))
        await begun.wait()
        assert loops == [asyncio.get_running_loop()]
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        may_answer.set()
        await asyncio.wait_for(answered.wait(), 30)

    asyncio.run(check())


@pytest.mark.parametrize("triggerer", [False, True])
def test_metrics_of_the_installed_airflow_can_be_sent(triggerer: bool) -> None:
    """What is installed has all three kinds."""
    stats = compat.stats(triggerer=triggerer)
    assert all(callable(getattr(stats, name)) for name in ("incr", "gauge", "timing"))


@pytest.mark.parametrize(
    ("version", "modules"),
    [
        ("3.2", ("airflow.sdk.observability.stats", "airflow.observability.stats")),
        ("3.1", ("airflow.stats",)),
    ],
)
def test_metrics_before_3_3_are_methods_of_a_class(
    monkeypatch: pytest.MonkeyPatch, version: str, modules: tuple[str, ...]
) -> None:
    """3.1 has one class for tasks and triggerers."""
    for name in ("airflow.sdk.observability", "airflow.observability"):
        if version == "3.1":
            monkeypatch.setitem(sys.modules, f"{name}.stats", None)
            monkeypatch.setitem(sys.modules, name, None)
    for name in modules:
        old = ModuleType(name)
        old.Stats = SimpleNamespace(name=name)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, old)
    found = [compat.stats(triggerer=triggerer).name for triggerer in (False, True)]
    assert found == [modules[0], modules[-1]]


@pytest.mark.parametrize(
    "moved",
    [
        "airflow.sdk.configuration",
        "airflow.sdk.exceptions",
        "airflow.sdk.observability",
        "airflow.observability",
        "airflow.exceptions",
    ],
)
def test_what_airflow_has_moved_is_imported_only_by_compat(moved: str) -> None:
    """Another module that imports it works only on some of the versions."""
    package = Path(compat.__file__).parent
    imports = re.compile(rf"^\s*(?:from|import) {re.escape(moved)}\b", re.MULTILINE)
    found = {path.name for path in package.rglob("*.py") if imports.search(path.read_text())}
    assert found <= {"compat.py"}
