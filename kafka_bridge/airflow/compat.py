"""All differences between the versions of Airflow that the bridge supports (decision 0039).

The other modules are written for the newest version, and take from here what an older version has
at another place, or does not have. When a version is no longer supported, only this module changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from airflow.triggers.base import BaseTrigger

try:
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferralTimeout,
    )
except ImportError:  # Airflow 3.1
    from airflow.configuration import conf
    from airflow.exceptions import (  # type: ignore[attr-defined, no-redef]
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferralTimeout,
    )

__all__ = [
    "CALLS_ON_KILL",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "KillableTrigger",
    "TaskDeferralTimeout",
    "conf",
    "determine_kwargs",
    "in_thread",
    "plugin_import_errors",
    "stats",
]

P = ParamSpec("P")
T = TypeVar("T")

CALLS_ON_KILL = hasattr(BaseTrigger, "on_kill")
"""Whether a triggerer tells a trigger that its task was marked or cleared (since Airflow 3.3)."""


class KillableTrigger(BaseTrigger):
    """The base of triggers with ``on_kill``, which is called in every version of Airflow.

    Before 3.3, a triggerer calls only ``cleanup``: after each end of a trigger, and also when the
    triggerer itself stops. So ``on_kill`` must do nothing for a trigger that has fired.
    """

    async def on_kill(self) -> None:
        """Cancel what the trigger waits for, because its task was marked or cleared."""

    async def cleanup(self) -> None:
        """Call ``on_kill`` where Airflow does not; Airflow calls this."""
        if not CALLS_ON_KILL and not triggerer_stops():
            await self.on_kill()


def triggerer_stops() -> bool:
    """Return whether the triggerer of this event loop stops, so that it cancels all its triggers.

    Its main task has ended then. Call this on the event loop of a triggerer older than 3.3.
    """
    main = _main_task(asyncio.get_running_loop())
    return main is None or main.done()


@lru_cache(maxsize=1)
def _main_task(loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any] | None:
    """Return the task that runs a triggerer's main loop, or None if it has ended."""
    for task in asyncio.all_tasks(loop):
        if getattr(task.get_coro(), "__qualname__", "") == "TriggerRunner.arun":
            return task
    return None


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that may use Airflow's API, such as a look-up of a connection, on a thread.

    The triggerer of Airflow 3.1 ends, with all its triggers, if a request is sent from a thread of
    ``asyncio.to_thread``, or is cancelled before its answer has arrived. So this uses a thread that
    knows the event loop, and goes on to its end when its caller is cancelled.
    """
    from asgiref.sync import sync_to_async  # noqa: PLC0415  DAG files load this module

    call = sync_to_async(function, thread_sensitive=False)
    return await asyncio.shield(call(*args, **kwargs))


def determine_kwargs(
    function: Callable[..., Any], arguments: Collection[Any], context: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return those values of a task's context that a function has parameters for.

    :param arguments: the positional arguments of the call
    """
    # Not at the top: DAG files load this module, and Airflow's is large.
    try:
        from airflow.sdk.bases.decorator import determine_kwargs as airflows  # noqa: PLC0415
    except ImportError:  # Airflow 3.1
        from airflow.utils.operator_helpers import (  # type: ignore[attr-defined]  # noqa: PLC0415
            determine_kwargs as airflows,
        )
    found: Mapping[str, Any] = airflows(function, arguments, context)
    return found


def stats(*, triggerer: bool) -> Any:
    """Return what has ``incr``, ``gauge`` and ``timing`` for Airflow's metrics.

    :param triggerer: whether this is a triggerer, whose metrics Airflow separates from those of
        tasks
    """
    # By name: a process needs one of the two, and should not load the other one.
    try:
        module = import_module(f"airflow{'' if triggerer else '.sdk'}.observability.stats")
    except ModuleNotFoundError:  # Airflow 3.1 has one for both
        module = import_module("airflow.stats")
    return module if hasattr(module, "incr") else module.Stats  # before 3.3: a class


def plugin_import_errors() -> dict[str, str]:
    """Return by its source why a plugin could not be imported. The plugins are loaded already."""
    plugins = import_module("airflow.plugins_manager")
    if hasattr(plugins, "get_import_errors"):
        return dict(plugins.get_import_errors())
    return dict(plugins.import_errors)  # Airflow 3.1
