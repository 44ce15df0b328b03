"""The child processes of a worker, from its start to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.handlers import Handler, with_defaults
from kafka_bridge.worker.monitoring.observer import MetricSource
from kafka_bridge.worker.processes.address import WorkerAddress, address_of
from kafka_bridge.worker.processes.messages import Program
from kafka_bridge.worker.processes.metrics import PoolMetrics
from kafka_bridge.worker.processes.pool import Pool, PoolLimits
from kafka_bridge.worker.processes.remote import Remote, in_processes
from kafka_bridge.worker.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Serving:
    """What a worker runs.

    :param handlers: by job type, with the worker's settings where they say nothing; those with
        ``process=True`` have their jobs run in processes
    :param metrics: of the processes
    """

    handlers: Mapping[str, Handler]
    metrics: tuple[MetricSource, ...] = ()


class Service(Protocol):
    """What the processes need of a worker; its attributes have the explanations."""

    handlers: dict[str, Handler]
    address: WorkerAddress | None
    child_set_up: Callable[[], None] | None


@contextlib.contextmanager
def serving(worker: Service, settings: WorkerSettings) -> Iterator[Serving]:
    """Keep the child processes that a worker's handlers need, if any, inside the block.

    :param settings: say how many there are, and when one is replaced
    :raises ConfigurationError: the processes cannot run, or cannot find the handlers
    """
    handlers = with_defaults(worker.handlers, settings)
    theirs = {name: each for name, each in handlers.items() if each.in_process}
    if not theirs:
        yield Serving(handlers)
        return
    limits = _limits(settings)
    where = worker.address or address_of(worker, theirs.values())
    set_up = worker.child_set_up
    pool = Pool(Program(where.module, where.attribute, frozenset(theirs), set_up), limits)
    patience = max((each.kill_after or settings.kill_after) for each in theirs.values())
    try:
        pool.start()
        remote = Remote(pool, settings.kill_after)
        yield Serving(in_processes(handlers, remote), (PoolMetrics(pool),))
    finally:
        pool.close(patience)


def _limits(settings: WorkerSettings) -> PoolLimits:
    memory = settings.max_memory_per_process
    if memory is not None and not Path("/proc/self/statm").exists():
        raise ConfigurationError(
            "max_memory_per_process needs /proc, which only Linux has: leave it out on this system"
        )
    return PoolLimits(settings.processes, settings.max_jobs_per_process, memory)
