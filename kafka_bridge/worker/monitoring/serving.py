"""The monitoring of a worker: metrics and health on a port, if it has one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, cast

from kafka_bridge.worker.monitoring.observer import MetricSource, Observer, WorkerStatus


@contextlib.contextmanager
def monitored(
    status: Callable[[], WorkerStatus],
    job_types: Collection[str],
    port: int | None,
    host: str,
    sources: Iterable[MetricSource] = (),
) -> Iterator[Observer]:
    """Yield the observer that the worker has to notify; serve what it counts inside the block.

    :param status: called for each HTTP request, on a thread of its own; must return at once
    :param job_types: the job types that the worker has handlers for
    :param port: None opens no port, 0 any free one
    :param host: the address to listen on
    :param sources: other sources of metrics
    :raises ConfigurationError: the extra ``metrics`` is missing, or the port cannot be opened
    """
    if port is None:
        yield Observer()
        return
    # An extra, imported only where it is needed.
    from kafka_bridge.worker.monitoring.http import serve  # noqa: PLC0415
    from kafka_bridge.worker.monitoring.prometheus import PrometheusObserver  # noqa: PLC0415

    observer = PrometheusObserver(job_types)
    for each in sources:
        observer.registry.register(cast(Any, each))  # it is typed as a class, but needs one method
    with serve(status, observer, port, host):
        yield observer
