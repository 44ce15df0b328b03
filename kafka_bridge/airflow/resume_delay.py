"""The delay after a deferral before which a task must not be resumed (decision 0007).

The executor reports the end of the process that deferred. If the resumed process is queued or
running by then, Airflow up to 3.3.2 mistakes the report for the end of that one, and fails the task
(apache/airflow issues 67287, 72716).
"""

from __future__ import annotations

import asyncio
import time

from kafka_bridge.airflow.compat import conf

LOOP_SECONDS = 2.0
"""The longest loop of a busy scheduler, without its sleep."""
LEAST_SLEEP_SECONDS = 1.0
"""With a shorter configured sleep, the loop itself takes longer on a busy machine."""
USUAL_SECONDS = 2.0
"""A trigger usually starts within this time after the deferral: the report of the deferral takes
some tenths of a second, and a triggerer looks for new triggers once a second."""
RESTART_SECONDS = 60.0
"""A trigger that starts this much later belongs to a task that was deferred long ago: its triggerer
was restarted, or had no capacity. The report of a deferral does not take that long."""


def usual_resume_delay() -> float:
    """Return the usual upper bound, in seconds, of the executor's report of a process's end.

    The process's supervisor notices the end within ``[workers] min_heartbeat_interval``, and the
    scheduler reads the executor's report in its next loop, before which it may sleep for
    ``[scheduler] scheduler_idle_sleep_time``.
    """
    noticed: int = conf.getint("workers", "min_heartbeat_interval", fallback=5)
    asleep: float = conf.getfloat("scheduler", "scheduler_idle_sleep_time", fallback=1.0)
    return noticed + max(asleep, LEAST_SLEEP_SECONDS) + LOOP_SECONDS


def resume_at(not_before: float, resume_delay: float, began: float) -> float:
    """Return when a task may be resumed, in seconds since 1970.

    A trigger can observe only how late it starts. An unusual delay counts twice: the process that
    deferred ended that much later, because the deferral was reported first; and the report of its
    end may be as slow (at most ``resume_delay`` more).

    If the clocks of worker and triggerer differ, the wait is at most ``2 * resume_delay``.

    :param not_before: ``resume_delay`` seconds after the task deferred
    :param began: when its trigger started
    """
    late = began - (not_before - resume_delay)
    if late > RESTART_SECONDS:
        return not_before
    beyond = max(0.0, late - USUAL_SECONDS)
    return min(not_before + beyond + min(beyond, resume_delay), began + 2 * resume_delay)


async def until_resumable(not_before: float, resume_delay: float, began: float) -> None:
    """Wait until a task may be resumed; see :func:`resume_at`."""
    await asyncio.sleep(resume_at(not_before, resume_delay, began) - time.time())
