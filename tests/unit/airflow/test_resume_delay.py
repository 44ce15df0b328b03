"""Before which time Airflow must not resume a task that has just deferred."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.airflow import resume_delay as module
from kafka_bridge.airflow.resume_delay import (
    LEAST_SLEEP_SECONDS,
    LOOP_SECONDS,
    RESTART_SECONDS,
    USUAL_SECONDS,
    resume_at,
    until_resumable,
    usual_resume_delay,
)
from kafka_bridge.testing.fakes import FakeClock
from kafka_bridge.testing.fakes.clock import START

from ..protocol.strategies import repeatable

DELAY = 8.0
DEFERRED = START
"""When the task deferred."""


@pytest.mark.parametrize(
    ("heartbeat", "idle_sleep", "seconds"),
    [
        ("5", "1", 5 + 1 + LOOP_SECONDS),
        ("11", "1", 11 + 1 + LOOP_SECONDS),
        ("5", "7.5", 5 + 7.5 + LOOP_SECONDS),
        ("5", "0", 5 + LEAST_SLEEP_SECONDS + LOOP_SECONDS),
    ],
)
def test_delay_is_the_supervisors_interval_and_one_loop_of_the_scheduler(
    monkeypatch: pytest.MonkeyPatch, heartbeat: str, idle_sleep: str, seconds: float
) -> None:
    """Both as they are configured; a scheduler that sleeps less is not quicker when it is busy."""
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", heartbeat)
    monkeypatch.setenv("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", idle_sleep)
    assert usual_resume_delay() == seconds


@pytest.mark.parametrize(
    ("late", "after"),
    [
        pytest.param(0.5, DELAY, id="at once"),
        pytest.param(USUAL_SECONDS, DELAY, id="as late as usual"),
        pytest.param(USUAL_SECONDS + 3, DELAY + 2 * 3, id="3 s more count twice"),
        pytest.param(USUAL_SECONDS + 20, DELAY + 20 + DELAY, id="the second time has a limit"),
        pytest.param(RESTART_SECONDS, RESTART_SECONDS + 2 * DELAY - USUAL_SECONDS, id="a minute"),
        pytest.param(RESTART_SECONDS + 1, DELAY, id="deferred long ago"),
    ],
)
def test_unusual_delay_of_the_trigger_counts_twice(late: float, after: float) -> None:
    """The process that deferred ended that much later, and the report of its end is as slow."""
    assert resume_at(DEFERRED + DELAY, DELAY, DEFERRED + late) - DEFERRED == pytest.approx(after)


@repeatable
@given(st.floats(-1e6, 1e6), st.floats(0, 100))
def test_trigger_never_waits_longer_than_twice_the_delay(late: float, delay: float) -> None:
    """Whatever the clocks of worker and triggerer say; and without a delay it does not wait."""
    began = DEFERRED + late
    assert resume_at(DEFERRED + delay, delay, began) - began <= 2 * delay + 1e-3


@repeatable
@given(st.floats(0, 1e6))
def test_task_is_never_resumed_before_its_time(late: float) -> None:
    """However late its trigger began."""
    assert resume_at(DEFERRED + DELAY, DELAY, DEFERRED + late) >= DEFERRED + DELAY


@pytest.mark.parametrize(("spent", "waited"), [(1.0, 7.0), (100.0, 0.0)])
async def test_time_that_the_job_took_is_not_waited_again(
    monkeypatch: pytest.MonkeyPatch, spent: float, waited: float
) -> None:
    """Jobs that take longer than the delay pay nothing for it."""
    clock = FakeClock(DEFERRED + spent)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=clock.async_sleep))
    await until_resumable(DEFERRED + DELAY, DELAY, DEFERRED + 0.5)
    assert clock.now == DEFERRED + spent + waited
