"""How long a task must not be resumed after its deferral (decision 0007).

The executor still has to report the end of the process that deferred. Airflow up to 3.3.2 takes
that report for the end of the resumed process, where that is queued or running already, and fails
the task (apache/airflow issues 67287, 72716).
"""

from __future__ import annotations

import asyncio
import time

from airflow.sdk.configuration import conf

LOOP_SECONDS = 2.0
"""How long one loop of a busy scheduler may take, besides its sleep."""
LEAST_SLEEP_SECONDS = 1.0
"""Where the scheduler is told to sleep for less, its loop takes the longer on a busy machine."""
USUAL_SECONDS = 2.0
"""Within this time after its deferral a task's trigger usually begins: the report of the deferral
takes some tenths, and a triggerer looks for new triggers once a second."""
RESTART_SECONDS = 60.0
"""A trigger that begins so much later waits for a task that was deferred long ago: its triggerer
was started again, or had no room. The report of a deferral does not take that long."""


def settle_seconds() -> float:
    """Return how long the executor's report of a process's end takes at the most, usually.

    The process's supervisor notices the end within ``[workers] min_heartbeat_interval``, and the
    scheduler reads the executor's report in its next loop, before which it may sleep for
    ``[scheduler] scheduler_idle_sleep_time``.
    """
    noticed: int = conf.getint("workers", "min_heartbeat_interval", fallback=5)
    asleep: float = conf.getfloat("scheduler", "scheduler_idle_sleep_time", fallback=1.0)
    return noticed + max(asleep, LEAST_SLEEP_SECONDS) + LOOP_SECONDS


def resume_at(not_before: float, settle: float, began: float) -> float:
    """Return from when on a task may be resumed, in seconds since 1970.

    What a trigger can observe is how late it begins. What is beyond the usual counts twice: the
    process that deferred ended that much later, because the deferral was reported first; and where
    that was slow, the report of the process's end may be as slow (``settle`` more at the most).

    Where the clocks of worker and triggerer differ, the wait is ``2 * settle`` at the most.

    :param not_before: ``settle`` seconds after the task asked for its deferral
    :param began: when its trigger began
    """
    late = began - (not_before - settle)
    if late > RESTART_SECONDS:
        return not_before
    beyond = max(0.0, late - USUAL_SECONDS)
    return min(not_before + beyond + min(beyond, settle), began + 2 * settle)


async def until_settled(not_before: float, settle: float, began: float) -> None:
    """Wait until a task may be resumed; see :func:`resume_at`."""
    await asyncio.sleep(resume_at(not_before, settle, began) - time.time())
